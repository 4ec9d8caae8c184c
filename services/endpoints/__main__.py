"""`python -m services.endpoints`."""

from osm.runtime.process import serve
from services.endpoints.app import run
from services.endpoints.settings import Settings

if __name__ == "__main__":
    serve("endpoints", run, Settings)
