"""Who calls whom, how often and how well: read from the sidecars' own counters.

Pure. Counters only grow, so a rate is the difference of two readings; a counter that shrank belongs to an Envoy
that was restarted, and counts from zero.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping

from msgspec import Struct, structs

STATS = "|".join(
    (
        r"^cluster\..+\|[0-9]+\.upstream_rq_([2-5]xx|total|time)$",
        r"^http\.inbound\..*rbac.*denied$",
        r"^http\.outbound\.http-proxy\.downstream_rq_4xx$",
    )
)
"""The counters that are asked for (RE2), of all the hundreds that an Envoy keeps."""

_CLUSTER = re.compile(r"^cluster\.(?P<service>[^|]+)\|\d+\.upstream_rq_(?P<what>[2-5]xx|total|time): (?P<value>.+)$")
_DENIED = re.compile(r"^http\.inbound\..*rbac.*denied: (?P<value>\d+)$")
_REFUSED = re.compile(r"^http\.outbound\.http-proxy\.downstream_rq_4xx: (?P<value>\d+)$")
_QUANTILE = re.compile(r"P(?P<of>\d+(?:\.\d+)?)\((?P<interval>[^,]+),(?P<ever>[^)]+)\)")

WINDOW_S = 10.0
"""Rates are over the last seconds: long enough to be steady, short enough to show what a key just did."""


class Edge(Struct, frozen=True, order=True):
    """A caller's workload and the service it calls."""

    source: str
    service: str


class Counters(Struct, frozen=True, kw_only=True):
    """Of one edge since its Envoy started."""

    requests: int = 0
    succeeded: int = 0
    failed: int = 0

    def since(self, before: "Counters") -> "Counters":
        if self.requests < before.requests:
            return self
        return Counters(
            requests=self.requests - before.requests,
            succeeded=self.succeeded - before.succeeded,
            failed=self.failed - before.failed,
        )


class Reading(Struct, frozen=True, kw_only=True):
    """All sidecars at one time. `latency_ms`: p50 and p99 of each edge; `denied`: by a server's or own sidecar."""

    at_s: float
    edges: Mapping[Edge, Counters]
    latency_ms: Mapping[Edge, tuple[float, float]]
    denied: Mapping[str, int]
    refused: Mapping[str, int]


def read(at_s: float, stats: Mapping[str, str]) -> Reading:
    """The answers of the sidecars' stats pages, by workload."""
    edges: dict[Edge, Counters] = {}
    latency: dict[Edge, tuple[float, float]] = {}
    denied: dict[str, int] = {}
    refused: dict[str, int] = {}
    for workload, text in stats.items():
        for line in text.splitlines():
            if (found := _CLUSTER.match(line)) is not None:
                edge = Edge(workload, found["service"])
                if found["what"] == "time":
                    if (quantiles := _quantiles(found["value"])) is not None:
                        latency[edge] = quantiles
                else:
                    edges[edge] = _counted(edges.get(edge, Counters()), found["what"], int(found["value"]))
            elif (found := _DENIED.search(line)) is not None:
                denied[workload] = denied.get(workload, 0) + int(found["value"])
            elif (found := _REFUSED.search(line)) is not None:
                refused[workload] = refused.get(workload, 0) + int(found["value"])
    return Reading(at_s=at_s, edges=edges, latency_ms=latency, denied=denied, refused=refused)


def _counted(counters: Counters, what: str, value: int) -> Counters:
    match what:
        case "total":
            return structs.replace(counters, requests=counters.requests + value)
        case "2xx" | "3xx":
            return structs.replace(counters, succeeded=counters.succeeded + value)
        case _:
            return structs.replace(counters, failed=counters.failed + value)


def _quantiles(text: str) -> tuple[float, float] | None:
    """p50 and p99 of Envoy's latest interval, else of all time; None before the first request."""
    found = {match["of"]: (match["interval"], match["ever"]) for match in _QUANTILE.finditer(text)}
    values = [_number(found.get(of, ("nan", "nan"))) for of in ("50", "99")]
    return None if None in values else (values[0] or 0.0, values[1] or 0.0)


def _number(pair: tuple[str, str]) -> float | None:
    return next((float(text) for text in pair if text != "nan"), None)


class Rate(Struct, frozen=True, kw_only=True):
    """An edge over the window."""

    edge: Edge
    per_s: float
    success: float | None
    """Share of answered requests that succeeded, 0 to 1; None without any."""
    p50_ms: float | None
    p99_ms: float | None


class Window:
    """The readings of the last seconds."""

    def __init__(self, length_s: float = WINDOW_S) -> None:
        self._length_s = length_s
        self._readings: deque[Reading] = deque()

    def add(self, reading: Reading) -> None:
        self._readings.append(reading)
        while len(self._readings) > 2 and reading.at_s - self._readings[1].at_s >= self._length_s:
            self._readings.popleft()

    def restart(self) -> None:
        """Forget what was before a change, so that what is shown is of after it."""
        while len(self._readings) > 1:
            self._readings.popleft()

    def rates(self) -> list[Rate]:
        """Every edge that has ever been used, sorted."""
        if not self._readings:
            return []
        newest, seconds = self._readings[-1], self._seconds()
        rates = []
        for edge in sorted(newest.edges):
            if newest.edges[edge].requests:
                counted = self._counted(edge)
                answered = counted.succeeded + counted.failed
                p50, p99 = newest.latency_ms.get(edge, (None, None))
                rates.append(
                    Rate(
                        edge=edge,
                        per_s=counted.requests / seconds,
                        success=counted.succeeded / answered if answered else None,
                        p50_ms=p50,
                        p99_ms=p99,
                    )
                )
        return rates

    def shares(self, services: Iterable[str]) -> dict[str, float] | None:
        """How requests were divided among services within the window; None if there were none."""
        if not self._readings:
            return None
        newest = self._readings[-1]
        counts = {
            service: sum(self._counted(edge).requests for edge in newest.edges if edge.service == service)
            for service in services
        }
        total = sum(counts.values())
        return {service: count / total for service, count in counts.items()} if total else None

    def turned_away(self) -> dict[str, int]:
        """Since the sidecars started: calls that their own sidecar refused, or a server's sidecar denied."""
        if not self._readings:
            return {}
        newest = self._readings[-1]
        both = {workload: count for workload, count in newest.refused.items() if count}
        for workload, count in newest.denied.items():
            if count:
                both[workload] = both.get(workload, 0) + count
        return both

    def _counted(self, edge: Edge) -> Counters:
        newest, oldest = self._readings[-1], self._readings[0]
        before = oldest.edges.get(edge, Counters()) if oldest is not newest else newest.edges[edge]
        return newest.edges[edge].since(before)

    def _seconds(self) -> float:
        return max(self._readings[-1].at_s - self._readings[0].at_s, 0.001)
