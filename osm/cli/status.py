"""`osm status`: services, proxies, users' objects: what runs, what is in sync, what is invalid and why."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
from msgspec import Struct
from rich.markup import escape

from osm.bus import Document
from osm.cli.age import age
from osm.cli.client import BusOption, mesh, of_kind, picture, pods_by_proxy
from osm.cli.find_mesh import program
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.output import CommandError, Format, OutputOption, problems, stdout, structured, table
from osm.cli.problem_lines import object_problems
from osm.cli.run_async import run
from osm.cli.status_changes import NOTHING_SAID, lines
from osm.cli.status_changes import news as new_lines
from osm.cli.status_watch import follow
from osm.contracts.channels import FILE_STATUS, OBJECT_STATUS, PROCESS_STATUS, PROGRESS, PROXY_STATUS, SERVICE_STATUS
from osm.contracts.problem import Problem
from osm.contracts.status import ProcessStatus, ProxyStatus, RolloutStatus, ServiceStatus

NOT_IN_ORDER = 1
"""Exit status when something is not as it should be."""


WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Go on, and show what changes; Ctrl-C ends.")]


@on_cluster
def status(
    bus: BusOption = None, output: OutputOption = Format.table, *, watch: WatchOption = False, where: ClusterOptions
) -> None:
    """Show services, proxies and policies: what runs, what is in sync, what is invalid and why.

    A change that is not everywhere is shown with its canaries: on how many proxies it is live, and what was rejected.
    With --watch the tables stay on the screen and follow; piped, each thing that is new is a line.

    Exit status 1 if a service is not ready, a proxy has rejected something or lags, a workload keeps ending, or an
    object has an error.

    Example: osm status --watch
    """
    if watch:
        _watch(bus, output, where)
        return
    documents, pods = run(read(bus, where))
    said = Said.of(documents)
    if output is Format.table:
        _print(said, pods)
    else:
        structured(
            {
                "services": said.services,
                "proxies": said.proxies,
                "processes": said.processes,
                "rollouts": [rollout for _, rollout in said.rollouts],
                "problems": said.problems,
            },
            output,
        )
    if not said.in_order:
        raise typer.Exit(NOT_IN_ORDER)


class Said(Struct, frozen=True, kw_only=True):
    """The status lines by kind. `rollouts`: with the replica that tells of them."""

    services: list[ServiceStatus]
    proxies: list[ProxyStatus]
    processes: list[ProcessStatus]
    rollouts: list[tuple[str, RolloutStatus]]
    problems: list[Problem]

    @classmethod
    def of(cls, documents: Sequence[Document]) -> "Said":
        lines = tuple(documents)
        return cls(
            services=of_kind(lines, SERVICE_STATUS),
            proxies=of_kind(lines, PROXY_STATUS),
            processes=of_kind(lines, PROCESS_STATUS),
            rollouts=[(line.replica, each) for line in of_kind(lines, PROGRESS) for each in line.rollouts],
            problems=object_problems(of_kind(lines, OBJECT_STATUS), of_kind(lines, FILE_STATUS)),
        )

    @property
    def in_order(self) -> bool:
        return (
            all(service.state != "starting" for service in self.services)
            and all(proxy.state == "synced" for proxy in self.proxies)
            and all(process.state not in ("backoff", "failed") for process in self.processes)
            and all(problem.severity != "error" for problem in self.problems)
        )


def _watch(bus: str | None, output: Format, where: ClusterOptions) -> None:
    if output is not Format.table:
        raise CommandError(
            f"--watch draws tables, found --output {output.value}",
            remedy=f"{program()} bus watch status -o json prints every line as it comes, for scripts",
        )
    run(_follow(bus, where))


async def _follow(bus: str | None, where: ClusterOptions) -> None:
    async with mesh(bus, where) as connected:
        pods, before = await pods_by_proxy(bus, where), NOTHING_SAID

        def news(documents: Sequence[Document]) -> list[str]:
            nonlocal before
            said, earlier = Said.of(documents), before
            before = lines(said.services, said.proxies, said.rollouts, said.problems)
            return list(new_lines(earlier, before))

        await follow(connected, lambda documents: _print(Said.of(documents), pods), news)


async def read(bus: str | None, where: ClusterOptions) -> tuple[tuple[Document, ...], Mapping[str, str]]:
    """All status lines, and in a cluster the pods that the proxies' ids mean."""
    async with mesh(bus, where) as connected:
        return await picture(connected, "status"), await pods_by_proxy(bus, where)


def _print(said: Said, pods: Mapping[str, str]) -> None:
    services, proxies, processes = said.services, said.proxies, said.processes
    now_s = time.time()
    table(
        ("service", "replica", "state", "up", "waits for"),
        ((s.service, s.replica, s.state, age(now_s - s.started_at_s), ", ".join(s.waiting_for)) for s in services),
        empty="no service reports",
    )
    stdout.print()
    print_proxies(proxies, processes, pods, now_s)
    for process in processes:
        if process.why:
            stdout.print(f"[yellow]{process.state}[/] {process.workload}: {escape(process.why)}", soft_wrap=True)
    for proxy in proxies:
        for rejection in proxy.rejections:
            origins = ", ".join(map(str, rejection.origins)) or "no user's object"
            name = pods.get(proxy.proxy_id, proxy.proxy_id)
            what = escape(", ".join(rejection.resources))
            stdout.print(f"[red]rejected[/] by {name}: {what} (from {origins})", soft_wrap=True)
            stdout.print(f"  Envoy says: {rejection.reason}", markup=False, soft_wrap=True)
    if said.problems:
        stdout.print()
        problems(said.problems)
    _print_rollouts([rollout for _, rollout in said.rollouts])


def _print_rollouts(rollouts: list[RolloutStatus]) -> None:
    """Changes that are not everywhere: on how many proxies, where the canaries stand, what was rejected and why."""
    if not rollouts:
        return
    stdout.print()
    table(
        ("change for", "state", "live", "canaries"),
        ((str(r.identity), r.state, f"{r.live} of {r.proxies}", ", ".join(r.canaries) or "-") for r in rollouts),
    )
    rejected = {rejection for rollout in rollouts for rejection in rollout.rejections}
    for rejection in sorted(rejected, key=lambda each: each.resources):
        origins = ", ".join(map(str, rejection.origins)) or "no user's object"
        what = escape(", ".join(rejection.resources))
        stdout.print(f"[red]quarantined[/]: {what} (from {origins})", soft_wrap=True)
        stdout.print(f"  Envoy says: {rejection.reason}", markup=False, soft_wrap=True)


def print_proxies(
    proxies: list[ProxyStatus], processes: list[ProcessStatus], pods: Mapping[str, str], now_s: float
) -> None:
    """A line a proxy: in a cluster by its pod, else with the process that it stands beside."""
    by_workload = {process.workload: process for process in processes}
    columns = (*PROXY_COLUMNS, *(() if pods else PROCESS_COLUMNS))
    rows = (
        (*_proxy_cells(proxy, pods, now_s), *(() if pods else _process_cells(by_workload.get(proxy.proxy_id))))
        for proxy in sorted(proxies, key=lambda each: pods.get(each.proxy_id, each.proxy_id))
    )
    table(columns, rows, empty="no proxy is connected")


PROXY_COLUMNS = ("proxy", "identity", "state", "connected")
PROCESS_COLUMNS = ("process", "http proxy")


def _proxy_cells(proxy: ProxyStatus, pods: Mapping[str, str], now_s: float) -> tuple[str, ...]:
    return (
        pods.get(proxy.proxy_id, proxy.proxy_id),
        str(proxy.identity),
        proxy.state + (f" ({proxy.why})" if proxy.why else ""),
        age(now_s - proxy.connected_at_s),
    )


def _process_cells(process: ProcessStatus | None) -> tuple[str, ...]:
    return (process.state if process else "-", process.http_proxy if process else "-")
