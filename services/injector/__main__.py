"""`python -m services.injector`."""

from osm.runtime.process import serve
from services.injector.app import run
from services.injector.settings import Settings

if __name__ == "__main__":
    serve("injector", run, Settings)
