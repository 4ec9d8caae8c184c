"""`osm`: the mesh from a terminal.

Apart from the services since it is a reader like any other: what it shows comes over the bus. The two commands that
run a mesh (`up`, `demo`) wire all services in one process, in `mesh`.
"""

from osm.cli.main import main

__all__ = ["main"]
