"""`python -m services.certmgr`: one certmgr in a process of its own."""

from osm.runtime.process import serve
from services.certmgr.app import run
from services.certmgr.settings import Settings

if __name__ == "__main__":
    serve("certmgr", run, Settings)
