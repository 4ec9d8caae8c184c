"""The answer first: the few figures of a result that a reader asks for, each with the bound it is held to. Pure.

Apart from `page`, which has every number. What a bound is, `result` says; here is only which of them come first.
"""

from collections.abc import Iterator

from msgspec import Struct

from bench.result import (
    BOUND_CPU_RATIO,
    BOUND_CREW_FIRST_CONFIG_S,
    BOUND_CREW_P99_MS,
    BOUND_FIRST_CONFIG_S,
    BOUND_KB_PER_PROXY,
    BOUND_P99_MS,
    Result,
    missed,
    missed_by_crew,
)

MANY = 1000
"""Proxies of the run whose costs are told of."""


class Figure(Struct, frozen=True, kw_only=True):
    """One line of the summary. `found` and `bound` are in `unit`; less is better."""

    what: str
    found: float
    bound: float
    unit: str = ""

    @property
    def is_met(self) -> bool:
        return self.found <= self.bound


def summary(result: Result) -> str:
    """A table of the figures, and under it every bound that was missed, told of here or not."""
    misses = [sentence for run in result.runs for sentence in missed(run)]
    misses += [sentence for crew in result.crews for sentence in missed_by_crew(crew)]
    rows = [
        f"| {one.what} | {_amount(one.found, one.unit)} | {_amount(one.bound, one.unit)} "
        f"| {'✓' if one.is_met else '**missed**'} |"
        for one in figures(result)
    ]
    return "\n".join(
        [
            "| what | measured | bound | |",
            "|---|---:|---:|---|",
            *rows,
            "",
            *(
                ["Bounds missed in this run:", "", *(f"- {each}" for each in misses)]
                if misses
                else ["No bound missed."]
            ),
            "",
        ]
    )


def figures(result: Result) -> Iterator[Figure]:
    """Those that the result has; a short run leaves some out."""
    for run in result.runs:
        moved = f"endpoint change to last acknowledgement, {run.streams:,} proxies, one worker, p99"
        if run.streams in BOUND_P99_MS:
            yield Figure(what=moved, found=run.move_endpoint.p99_ms, bound=BOUND_P99_MS[run.streams], unit="ms")
    crews = [crew for crew in result.crews if crew.streams in BOUND_CREW_P99_MS]
    for crew in crews:
        moved = f"the same, {crew.streams:,} proxies, {crew.workers} workers, p99"
        yield Figure(what=moved, found=crew.move_endpoint.p99_ms, bound=BOUND_CREW_P99_MS[crew.streams], unit="ms")
    for run in result.runs:
        if run.streams == MANY:
            what = f"first configuration of {run.streams:,} proxies that connect at once, one worker"
            yield Figure(what=what, found=run.first_config_s, bound=BOUND_FIRST_CONFIG_S[run.streams], unit="s")
    for crew in crews:
        what = f"the same, {crew.streams:,} proxies, {crew.workers} workers"
        yield Figure(what=what, found=crew.first_config_s, bound=BOUND_CREW_FIRST_CONFIG_S[crew.streams], unit="s")
    for run in result.runs:
        if run.streams == MANY:
            what = f"CPU for a push and its answer, {run.streams:,} proxies, in times a bare gRPC echo's"
            yield Figure(what=what, found=run.cpu_ratio, bound=BOUND_CPU_RATIO)
            what = f"memory for each of {run.streams:,} proxies"
            yield Figure(what=what, found=run.kb_per_proxy, bound=BOUND_KB_PER_PROXY, unit="KB")
            yield Figure(what="sent for an edit that changes nothing", found=run.noop_bytes, bound=0, unit="bytes")
    yield from _catalog(result)


def _catalog(result: Result) -> Iterator[Figure]:
    """From cold, and the slowest of all single changes."""
    cold, *changes = result.catalog or (None,)
    if cold is not None:
        size = "1,000 services, 5,000 workloads, 2,000 targets"
        yield Figure(what=f"catalog from cold: {size}", found=cold.median_ms, bound=cold.bound_ms, unit="ms")
    if changes:
        worst = max(changes, key=lambda row: row.worst_ms)
        what = "catalog: one change in that mesh, the slowest"
        yield Figure(what=what, found=worst.worst_ms, bound=worst.bound_ms, unit="ms")


def _amount(value: float, unit: str) -> str:
    if value >= 1000 and unit == "ms":
        value, unit = value / 1000, "s"
    rounded = f"{value:.3g}" if value < 100 else f"{value:,.0f}"
    return f"{rounded} {unit}".strip()
