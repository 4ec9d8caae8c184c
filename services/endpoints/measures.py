"""What an operator may want to know of the work of `endpoints`, on any platform.

Apart from the publisher, which has written a thing when it tells of it here.
"""

from collections import Counter
from collections.abc import Callable, Mapping

from osm.bus.documents import entity
from osm.contracts.problem import Problem, by_severity
from osm.contracts.status import ObjectStatus
from osm.runtime.metrics import by, from_zero, meter
from services.endpoints.diff import Change


class Measures:
    """`documents` tells what is in the bucket, by key."""

    def __init__(self, documents: Callable[[], Mapping[str, object]]) -> None:
        counts = meter("endpoints")
        self._batch = counts.create_histogram("osm.endpoints.batch", "s", "from changes taken in to their documents")
        self._changes = counts.create_counter("osm.endpoints.documents", description="documents put or deleted")
        from_zero(self._changes, "change", ("put", "delete"))
        counts.create_observable_gauge(
            "osm.endpoints.published",
            [by("kind", lambda: Counter(map(entity, documents())))],
            description="documents that stand, by kind",
        )
        self._problems: dict[str, tuple[Problem, ...]] = {}
        counts.create_observable_gauge(
            "osm.endpoints.problems",
            [by("severity", lambda: by_severity(self._problems.values()))],
            description="objects with a problem, by its worst",
        )

    def batch(self, step: Change, took_s: float) -> None:
        """What a change took, a change of nothing included."""
        self._batch.record(took_s)
        self._changes.add(len(step.puts), {"change": "put"})
        self._changes.add(len(step.deletes), {"change": "delete"})

    def verdicts(self, lines: Mapping[str, ObjectStatus | None]) -> None:
        """The lines of objects that have changed, by key; None: there is nothing to say of it any more."""
        for key, line in lines.items():
            if line is not None and line.problems:
                self._problems[key] = line.problems
            else:
                self._problems.pop(key, None)
