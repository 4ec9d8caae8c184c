"""A comparison for the terminal, and as the rows of docs/performance.md."""

from rich.console import Console
from rich.table import Table

from bench.peers.result import Comparison, PeerRun, ours_beside

HEADS = (
    "p50 ms (x ours)",
    "p99 ms (x ours)",
    "max ms",
    "until given ms",
    "CPU µs a push (x ours)",
    "bytes a push",
    "first config s",
    "KB a proxy",
    "empty, MB",
)


def show(found: Comparison, console: Console) -> None:
    table = Table("proxies", "control plane", title="An endpoint moves: from the change to the last acknowledgement")
    for head in HEADS:
        table.add_column(head, justify="right")
    streams = None
    for run in found.runs:
        if streams not in (None, run.streams):
            table.add_section()
        streams = run.streams
        table.add_row(str(run.streams), run.peer, *_cells(found.runs, run))
    console.print(found.circumstances)
    console.print(table)


def numbers(found: Comparison) -> str:
    """Markdown."""
    return "\n".join(
        [
            f"{found.circumstances}.",
            "",
            f"| proxies | control plane | {' | '.join(HEADS)} |",
            f"|---:|---|{'---:|' * len(HEADS)}",
            *(f"| {run.streams} | {run.peer} | {' | '.join(_cells(found.runs, run))} |" for run in found.runs),
            "",
        ]
    )


def _cells(runs: tuple[PeerRun, ...], run: PeerRun) -> tuple[str, ...]:
    moved, ours = run.move_endpoint, ours_beside(runs, run).move_endpoint
    return (
        f"{moved.p50_ms:.1f} ({moved.p50_ms / ours.p50_ms:.2f})",
        f"{moved.p99_ms:.1f} ({moved.p99_ms / ours.p99_ms:.2f})",
        f"{moved.max_ms:.1f}",
        f"{moved.prepared_ms:.1f}",
        f"{moved.cpu_us_per_push:.0f} ({moved.cpu_us_per_push / ours.cpu_us_per_push:.2f})",
        f"{moved.bytes_per_push:.0f}",
        f"{run.first_config_s:.2f}",
        f"{run.kb_per_proxy:.0f}",
        f"{run.baseline_mb:.0f}",
    )
