"""Writes the summary, numbers and curves of docs/performance.md from a result: what stands there was measured.

The result itself is put beside the page, for whoever wants to reckon with it. Only what lies between the markers is
replaced; the words around it are a person's.
"""

from collections.abc import Callable
from pathlib import Path

from bench import results_folder
from bench.result import Result, Run, Series, WorkersRun
from bench.summary import summary
from bench.svg import Line, chart

WORDS = {"push": "bare echo", "move endpoint": "an endpoint moves", "edit policy": "a policy is edited"}

DOCS = Path(__file__).parent.parent / "docs"
Markers = tuple[str, str]

SUMMARY: Markers = ("<!-- summary: written by `python -m bench --page` -->", "<!-- end of summary -->")
NUMBERS: Markers = ("<!-- numbers: written by `python -m bench --page` -->", "<!-- end of numbers -->")


def write(result: Result, docs: Path = DOCS) -> tuple[Path, ...]:
    """The files written. Raises ValueError if the page has lost its markers."""
    path = docs / "performance.md"
    text = filled(path.read_text(), SUMMARY, summary(result))
    path.write_text(filled(text, NUMBERS, numbers(result)))
    drawn = charts(result.runs)
    for name, svg in drawn.items():
        (docs / name).write_text(svg)
    return (path, results_folder.write(result, docs / "performance.json"), *(docs / name for name in drawn))


def filled(text: str, markers: Markers, between: str) -> str:
    """Raises ValueError if a marker is not there."""
    before, begin, rest = text.partition(markers[0])
    _, end, after = rest.partition(markers[1])
    if not begin or not end:
        raise ValueError(f"docs/performance.md: expected the lines {markers[0]!r} and {markers[1]!r}")
    return f"{before}{begin}\n\n{between}\n{end}{after}"


def charts(runs: tuple[Run, ...]) -> dict[str, str]:
    """SVG by file name."""
    return {
        "performance-time.svg": chart(
            "From a changed endpoint to the last acknowledgement, ms",
            (
                Line(name="p99", points=_points(runs, lambda run: run.move_endpoint.p99_ms)),
                Line(name="p50", points=_points(runs, lambda run: run.move_endpoint.p50_ms)),
                Line(name="bare gRPC echo, p50", points=_points(runs, lambda run: run.echo.p50_ms)),
            ),
            x_title="connected proxies",
            log_y=True,
        ),
        "performance-cpu.svg": chart(
            "CPU of the control plane for a push and its acknowledgement, µs",
            (
                Line(name="moved endpoint", points=_points(runs, lambda run: run.move_endpoint.cpu_us_per_push)),
                Line(name="bare gRPC echo", points=_points(runs, lambda run: run.echo.cpu_us_per_push)),
            ),
            x_title="connected proxies",
        ),
        "performance-memory.svg": chart(
            "Resident memory of the control plane for each connected proxy, KB",
            (
                Line(name="osm, after all changes", points=_points(runs, lambda run: run.kb_per_proxy)),
                Line(name="bare gRPC echo", points=_points(runs, lambda run: run.echo_kb_per_stream)),
            ),
            x_title="connected proxies",
        ),
        "performance-bytes.svg": chart(
            "KB sent to all proxies together",
            (
                Line(name="all connect at once", points=_points(runs, lambda run: run.first_config_mb * 1e3)),
                Line(name="one endpoint moves", points=_points(runs, lambda run: _kb(run.move_endpoint))),
                Line(name="a policy is edited", points=_points(runs, lambda run: _kb(run.edit_policy))),
            ),
            x_title="connected proxies",
            log_y=True,
        ),
    }


def _kb(one: Series) -> float:
    """Of one change, to everybody it concerns."""
    return one.bytes_per_push * one.pushes_each / 1e3


def numbers(result: Result) -> str:
    return "\n".join(
        [
            f"{result.circumstances}.",
            "",
            "| proxies | change | pushes | p50 ms | p99 ms | max ms | until encoded, ms |",
            "|---:|---|---:|---:|---:|---:|---:|",
            *(
                _time_row(run, series)
                for run in result.runs
                for series in (run.move_endpoint, run.edit_policy, run.echo)
            ),
            "",
            "| proxies | CPU µs a push (echo) | times echo | clients' share of CPU | bytes a push "
            "| KB a proxy (echo) | first configuration for all at once | bytes for no-op edits |",
            "|---:|---:|---:|---:|---:|---:|---:|---:|",
            *map(_cost_row, result.runs),
            "",
            *_crews(result.crews),
            *_catalog(result),
        ]
    )


def _time_row(run: Run, one: Series) -> str:
    what = WORDS[one.what]
    prepared = "" if one.what == "push" else f"{one.prepared_ms:.1f}"
    return (
        f"| {run.streams} | {what} | {one.pushes_each:g} | {one.p50_ms:.1f} | {one.p99_ms:.1f} "
        f"| {one.max_ms:.1f} | {prepared} |"
    )


def _cost_row(run: Run) -> str:
    moved = run.move_endpoint
    return (
        f"| {run.streams} | {moved.cpu_us_per_push:.0f} ({run.echo.cpu_us_per_push:.0f}) | {run.cpu_ratio:.2f} "
        f"| {moved.clients_share:.0%} | {moved.bytes_per_push:.0f} "
        f"| {run.kb_per_proxy:.0f} ({run.echo_kb_per_stream:.0f}) "
        f"| {run.first_config_s:.2f} s, {run.first_config_mb:.0f} MB | {run.noop_bytes} |"
    )


def _crews(crews: tuple[WorkersRun, ...]) -> list[str]:
    if not crews:
        return []
    return [
        "Several workers on one port, over a real NATS:",
        "",
        "| workers | proxies | change | p50 ms | p99 ms | max ms | CPU µs a push | KB a proxy, at first and in the end "
        "| first configuration, s |",
        "|---:|---:|---|---:|---:|---:|---:|---:|---:|",
        *(
            f"| {crew.workers} | {crew.streams} | {WORDS[one.what]} | {one.p50_ms:.1f} | {one.p99_ms:.1f} "
            f"| {one.max_ms:.1f} | {one.cpu_us_per_push:.0f} | {crew.kb_per_proxy:.0f}, {crew.kb_per_proxy_after:.0f} "
            f"| {crew.first_config_s:.2f} |"
            for crew in crews
            for one in (crew.move_endpoint, crew.edit_policy)
        ),
        "",
    ]


def _catalog(result: Result) -> list[str]:
    if not result.catalog:
        return []
    return [
        "The catalog alone, 1,000 services, 5,000 workloads and 2,000 targets:",
        "",
        "| change | median ms | worst ms | bound ms | written |",
        "|---|---:|---:|---:|---|",
        *(
            f"| {row.what} | {row.median_ms:.2f} | {row.worst_ms:.2f} | {row.bound_ms:g} | {row.written} |"
            for row in result.catalog
        ),
        "",
    ]


def _points(runs: tuple[Run, ...], value: Callable[[Run], float]) -> tuple[tuple[float, float], ...]:
    return tuple((run.streams, value(run)) for run in runs)
