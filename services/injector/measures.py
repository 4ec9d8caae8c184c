"""The metrics of sidecars' Secrets: written or not, and until when their certificates last.

Apart from `secret_controller`, which tells here what it has done. Reviews are measured where they are answered.
"""

from collections.abc import Callable
from typing import get_args

from osm.runtime.metrics import alone, from_zero, meter
from services.injector.secret_chores import Verb


class Measures:
    """`waiting`: how many Secrets are to be tried again; `ends`: when the first certificate in use does."""

    def __init__(self, *, waiting: Callable[[], int], ends: Callable[[], float | None]) -> None:
        counts = meter("injector")
        self._done = counts.create_counter("osm.injector.secrets", description="Secrets written or deleted, by verb")
        self._failures = counts.create_counter("osm.injector.failures", description="chores that failed, by verb")
        from_zero(self._done, "verb", get_args(Verb))
        from_zero(self._failures, "verb", get_args(Verb))
        counts.create_observable_gauge(
            "osm.injector.waiting",
            [alone(waiting)],
            description="Secrets that could not be written, and are tried again",
        )
        counts.create_observable_gauge(
            "osm.injector.certificate_not_after",
            [alone(ends)],
            "s",
            "when the first certificate of a running sidecar ends, since the epoch; told by the holder of the Lease",
        )

    def did(self, verb: Verb) -> None:
        self._done.add(1, {"verb": verb})

    def failed(self, verb: Verb) -> None:
        self._failures.add(1, {"verb": verb})
