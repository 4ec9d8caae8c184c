"""xds as a process of its own, or as several that share its port: `python -m services.xds`."""

import os
from typing import NoReturn

from osm.runtime.process import end_as, serve
from osm.runtime.settings import read_service
from services.xds.settings import Settings


def main() -> NoReturn:
    """Never returns; exit codes are `osm.runtime.process`'s."""
    end_as("xds", _serve)


def _serve() -> None:
    settings = read_service(Settings, os.environ, "xds")
    if settings.workers > 1:
        from services.xds.workers import serve_workers  # noqa: PLC0415  # one process needs nothing of it

        serve_workers(settings, os.environ)
    else:
        from services.xds.app import run  # noqa: PLC0415  # gRPC, which the parent of workers never loads

        serve("xds", run, Settings)


if __name__ == "__main__":
    main()
