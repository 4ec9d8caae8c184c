"""`python -m services.local`."""

from osm.runtime.process import serve
from services.local.app import run
from services.local.settings import Settings

if __name__ == "__main__":
    serve("local", run, Settings)
