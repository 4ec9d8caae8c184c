"""What an operator may watch of the bus, from one service's end of it.

Apart from what is measured, so that what there is to see of a bus is read in one place. The in-memory bus has none of
it: it cannot be away, and nobody else writes to it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import metrics


class Measures:
    """Of one connection, and of what goes over it."""

    def __init__(self) -> None:
        counts = metrics.get_meter("osm.bus")
        self._connected = counts.create_gauge("osm.bus.connected", description="1 while there is a connection, else 0")
        self._reconnects = counts.create_counter("osm.bus.reconnects", description="connections after the first")
        self._rereads = counts.create_counter(
            "osm.bus.rereads", description="times a bucket was read anew from its start, its thread being lost"
        )
        self._lag = counts.create_histogram(
            "osm.bus.lag", "s", "from a change written, by the server's clock, to its reader being told, by bucket"
        )
        self._writing = counts.create_gauge(
            "osm.bus.writing", description="1 while this process writes the bucket, 0 while it stands by"
        )
        self._disbelieved = counts.create_counter(
            "osm.bus.disbelieved", description="messages that their bucket's owner has not signed"
        )
        self._connected.set(0)
        self._reconnects.add(0)

    def connected(self, *, again: bool) -> None:
        self._connected.set(1)
        self._reconnects.add(int(again))

    def disconnected(self) -> None:
        self._connected.set(0)

    def follows(self, bucket: str) -> None:
        self._rereads.add(0, {"bucket": bucket})

    def rereads(self, bucket: str) -> None:
        self._rereads.add(1, {"bucket": bucket})

    def told(self, bucket: str, written_s: float) -> None:
        """A reader is told a change of that time, seconds since the epoch; a server whose clock is ahead is no lag."""
        self._lag.record(max(time.time() - written_s, 0.0), {"bucket": bucket})

    @contextmanager
    def standing_by(self, bucket: str) -> Iterator[None]:
        """While the right to write is wanted, held or not; `writes` says when it is."""
        self._writing.set(0, {"bucket": bucket})
        try:
            yield
        finally:
            self._writing.set(0, {"bucket": bucket})

    def writes(self, bucket: str) -> None:
        self._writing.set(1, {"bucket": bucket})

    def disbelieved(self, bucket: str) -> None:
        self._disbelieved.add(1, {"bucket": bucket})
