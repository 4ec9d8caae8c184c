"""How long a batch of changes takes, from xds taking it in to the last acknowledgement: a span and a measure of each.

Separate since it outlives the work on the batch: it ends when the watermark of what is acknowledged passes the batch.
One for a batch, none for a proxy: a thousand streams cost as much as one. It refuses to wait for the engine or to
know about streams; whoever hears of an answer calls `settle`.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from osm.runtime.metrics import meter
from osm.runtime.tracing import Span, tracer

MOST_OPEN = 64
"""Batches that wait for one slow proxy; the oldest is then closed as it is, so that memory stays bounded."""

IN_FULL = "osm.acked"
"""Attribute of the span: whether every connected proxy has answered the batch."""


class _Open(NamedTuple):
    batch: int
    began_ns: int
    span: Span


class Pushes:
    """The batches that are not acknowledged by all. `acked` tells up to which batch all are, `clock` the wall clock's
    nanoseconds."""

    def __init__(self, acked: Callable[[], int], clock: Callable[[], int] = time.time_ns) -> None:
        self._acked = acked
        self._clock = clock
        self._spans = tracer("xds")
        self._took = meter("xds").create_histogram(
            "osm.xds.convergence",
            "s",
            "from a batch taken in to its last acknowledgement; what was not waited for any longer included",
        )
        self._open: deque[_Open] = deque()

    def begin(self, batch: int, began_ns: int) -> None:
        """The engine has been given the batch, which xds took in at `began_ns` (wall clock, nanoseconds).

        The span is a child of the one in progress; a batch that concerns no proxy gets none.
        """
        if self._acked() >= batch:
            return
        if len(self._open) == MOST_OPEN:
            self._end(in_full=False)
        self._open.append(_Open(batch, began_ns, self._spans.start_span("xds push", start_time=began_ns)))

    def settle(self) -> None:
        """A proxy has answered, or has left: what no proxy owes an answer for any longer ends now."""
        if not self._open:
            return
        acked = self._acked()
        while self._open and self._open[0].batch <= acked:
            self._end(in_full=True)

    def _end(self, *, in_full: bool) -> None:
        _, began_ns, span = self._open.popleft()
        span.set_attribute(IN_FULL, in_full)
        span.end()
        self._took.record(max(self._clock() - began_ns, 0) / 1e9)  # below 0: the clock was set back
