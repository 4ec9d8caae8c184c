"""xds as a process of its own: `python -m services.xds`."""

from osm.runtime.process import serve
from services.xds.app import run
from services.xds.settings import Settings

if __name__ == "__main__":
    serve("xds", run, Settings)
