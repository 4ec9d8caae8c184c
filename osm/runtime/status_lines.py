"""What all lines in the `status` bucket have in common: how often they are put again, and that they are a courtesy.

Apart from whoever writes them, since each service keeps lines of its own and in its own way.
"""

import contextlib
from collections.abc import Iterator

import structlog

from osm.bus import BusError
from osm.contracts.channels import STATUS_MAX_AGE_S

REFRESH_S = STATUS_MAX_AGE_S / 3
"""Two refreshes may be lost before a reader takes a line for no longer true."""

log = structlog.get_logger()


@contextlib.contextmanager
def courtesy(key: str) -> Iterator[None]:
    """A line that the bus does not take is logged and keeps nothing back: neither the service nor its other lines."""
    try:
        yield
    except BusError as error:
        log.warning("status line not written", key=key, why=str(error))
