"""Metrics of list-and-watch: when the API server was last heard, and how often all was listed again."""

import time

from opentelemetry import metrics


class Measures:
    """Of one kind that is followed."""

    def __init__(self, kind: str) -> None:
        counts = metrics.get_meter("osm.k8s")
        self._kind = {"kind": kind}
        self._heard = counts.create_gauge(
            "osm.k8s.last_contact", "s", "when the API server was last heard about the kind, seconds since the epoch"
        )
        self._lists = counts.create_counter("osm.k8s.lists", description="lists of all objects of the kind, by reason")
        self._watches = counts.create_counter("osm.k8s.watches", description="watches begun")

    def heard(self) -> None:
        self._heard.set(time.time(), self._kind)

    def listed(self, why: str) -> None:
        """`why`: start, reconcile, Expired, or the reason the server gave."""
        self._lists.add(1, {**self._kind, "why": why})
        self.heard()

    def watching(self) -> None:
        self._watches.add(1, self._kind)
