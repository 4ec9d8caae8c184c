"""`python -m services.meshspec`."""

from osm.runtime.process import serve
from services.meshspec.app import run
from services.meshspec.settings import Settings

if __name__ == "__main__":
    serve("meshspec", run, Settings)
