"""The catalog as a process of its own: `python -m services.catalog`."""

from osm.runtime.process import serve
from osm.runtime.settings import Common
from services.catalog.app import run

if __name__ == "__main__":
    serve("catalog", run, Common)
