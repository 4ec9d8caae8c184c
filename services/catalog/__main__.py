"""The catalog as a process of its own: `python -m services.catalog`."""

from osm.runtime.process import serve
from services.catalog.app import run
from services.catalog.settings import Settings

if __name__ == "__main__":
    serve("catalog", run, Settings)
