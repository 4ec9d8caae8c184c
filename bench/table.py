"""A result for the terminal."""

from rich.console import Console
from rich.table import Table

from bench.result import Result, Run, WorkersRun, missed, missed_by_crew


def show(result: Result, console: Console) -> None:
    console.print(result.circumstances)
    if result.runs:
        console.print(_times(result.runs))
        console.print(_costs(result.runs))
    if result.crews:
        show_crews(result.crews, console)
    for row in result.catalog:
        console.print(
            f"catalog, {row.what}: median {row.median_ms:.2f} ms, worst {row.worst_ms:.2f} ms "
            f"(bound {row.bound_ms:g}), {row.written}"
        )
    for sentence in (sentence for run in result.runs for sentence in missed(run)):
        console.print(f"missed: {sentence}", style="red")


def show_crews(runs: tuple[WorkersRun, ...], console: Console) -> None:
    """Several workers on one port."""
    table = Table("workers", "proxies", "change", title="xds as several processes on one port, over NATS")
    for head in ("p50 ms", "p99 ms", "max ms", "CPU a push, µs", "KB a proxy", "after it", "first config, s"):
        table.add_column(head, justify="right")
    for run in runs:
        for series in (run.move_endpoint, run.edit_policy):
            table.add_row(
                str(run.workers),
                str(run.streams),
                series.what,
                f"{series.p50_ms:.1f}",
                f"{series.p99_ms:.1f}",
                f"{series.max_ms:.1f}",
                f"{series.cpu_us_per_push:.0f}",
                f"{run.kb_per_proxy:.0f}",
                f"{run.kb_per_proxy_after:.0f}",
                f"{run.first_config_s:.2f}",
            )
        table.add_section()
    console.print(table)
    for sentence in (sentence for run in runs for sentence in missed_by_crew(run)):
        console.print(f"missed: {sentence}", style="red")


def _times(runs: tuple[Run, ...]) -> Table:
    table = Table("proxies", "change", title="From the write on the bus to the last acknowledgement")
    for head in ("changes", "pushes each", "p50 ms", "p99 ms", "max ms", "of it until encoded"):
        table.add_column(head, justify="right")
    for run in runs:
        for series in (run.move_endpoint, run.edit_policy, run.echo):
            table.add_row(
                str(run.streams),
                {"push": "bare echo"}.get(series.what, series.what),
                str(series.rounds),
                f"{series.pushes_each:g}",
                f"{series.p50_ms:.1f}",
                f"{series.p99_ms:.1f}",
                f"{series.max_ms:.1f}",
                f"{series.prepared_ms:.1f}",
            )
        table.add_section()
    return table


def _costs(runs: tuple[Run, ...]) -> Table:
    table = Table("proxies", title="What a proxy and a push cost the server (bare echo in brackets)")
    for head in (
        "CPU a push, µs",
        "times echo",
        "clients' share",
        "bytes a push",
        "KB a proxy",
        "empty, MB",
        "first config, s",
        "first config, MB",
        "no-op bytes",
    ):
        table.add_column(head, justify="right")
    for run in runs:
        moved = run.move_endpoint
        table.add_row(
            str(run.streams),
            f"{moved.cpu_us_per_push:.0f} ({run.echo.cpu_us_per_push:.0f})",
            f"{run.cpu_ratio:.2f}",
            f"{moved.clients_share:.0%}",
            f"{moved.bytes_per_push:.0f}",
            f"{run.kb_per_proxy:.0f} ({run.echo_kb_per_stream:.0f})",
            f"{run.baseline_mb:.0f}",
            f"{run.first_config_s:.2f}",
            f"{run.first_config_mb:.0f}",
            str(run.noop_bytes),
        )
    return table
