"""What a run found: its shape, the arithmetic from samples to figures, and the bounds it is held to. Pure."""

from collections.abc import Iterable
from math import ceil

from msgspec import Struct

from bench.mesh import Samples

BOUND_P99_MS = {20: 15.0, 1000: 300.0}
"""From the change of an endpoint to the last acknowledgement, by streams."""
BOUND_CPU_RATIO = 1.5
BOUND_KB_PER_PROXY = 140.0
MANY = 500
"""Proxies. With fewer, what the classes hold once (here 20 of them: 10 MB) is more than the proxies' own."""
BOUND_FIRST_CONFIG_S = {1000: 8.0}

BOUND_CREW_P99_MS = {1000: 200.0, 5000: 1000.0}
"""The same with two workers."""
BOUND_CREW_FIRST_CONFIG_S = {1000: 8.0, 5000: 45.0}
BOUND_GROWTH = 0.05
"""Of memory while nothing but changes happens, as a share of what all proxies take: flat, but for the allocator."""


class Machine(Struct, frozen=True, kw_only=True):
    """Where it ran."""

    cpu: str
    cores: int
    memory_gib: float
    kernel: str


class Measured(Struct, frozen=True, kw_only=True):
    """What any result says of itself, to be compared with another: when, where and with what it was measured."""

    date: str
    machine: Machine
    load_before: float
    versions: dict[str, str]

    @property
    def circumstances(self) -> str:
        """In a sentence, without its end."""
        machine = self.machine
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return (
            f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB, Linux {machine.kernel}; {versions}; "
            f"{self.date[:10]}; load before the run {self.load_before}"
        )


class Series(Struct, frozen=True, kw_only=True):
    """Equal changes, one after the other. Times are from the write on the bus; `prepared_ms` until xds had encoded it.

    `cpu_us_per_push` is the server's, the services' share included; `clients_cpu_us_per_push` the proxies'.
    """

    what: str
    rounds: int
    pushes_each: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    prepared_ms: float
    bytes_per_push: float
    cpu_us_per_push: float
    clients_cpu_us_per_push: float

    @property
    def clients_share(self) -> float:
        """Of all CPU that a push took, the part that the clients took."""
        both = self.cpu_us_per_push + self.clients_cpu_us_per_push
        return self.clients_cpu_us_per_push / both if both else 0.0


class Run(Struct, frozen=True, kw_only=True):
    """One number of proxies. Memory is resident; that of the echo is gRPC's and TLS's own."""

    streams: int
    first_config_s: float
    first_config_mb: float
    baseline_mb: float
    kb_per_proxy: float
    echo_kb_per_stream: float
    move_endpoint: Series
    edit_policy: Series
    echo: Series
    noop_edits: int
    noop_bytes: int

    @property
    def cpu_ratio(self) -> float:
        """What a push costs here, in pushes of the bare echo."""
        return self.move_endpoint.cpu_us_per_push / self.echo.cpu_us_per_push

    @property
    def time_ratio(self) -> float:
        return self.move_endpoint.p50_ms / self.echo.p50_ms


class WorkersRun(Struct, frozen=True, kw_only=True):
    """One number of proxies before several workers. Memory is of all workers together, without that of an empty one."""

    workers: int
    streams: int
    first_config_s: float
    kb_per_proxy: float
    kb_per_proxy_after: float
    move_endpoint: Series
    edit_policy: Series

    @property
    def growth(self) -> float:
        """Of memory from the first configuration to the last change, as a share."""
        return self.kb_per_proxy_after / self.kb_per_proxy - 1


class Thinking(Struct, frozen=True, kw_only=True):
    """One row of the catalog's own benchmark."""

    what: str
    median_ms: float
    worst_ms: float
    bound_ms: float
    written: str


class Result(Measured, frozen=True, kw_only=True):
    """All of one call of `python -m bench`."""

    settings: dict[str, int | bool]
    runs: tuple[Run, ...]
    catalog: tuple[Thinking, ...]
    crews: tuple[WorkersRun, ...] = ()


def quantile(samples: tuple[float, ...], share: float) -> float:
    """The least sample that so large a share of all does not exceed (nearest rank). Raises ValueError if none."""
    if not samples:
        raise ValueError("a quantile needs a sample")
    return sorted(samples)[max(0, ceil(share * len(samples)) - 1)]


def series(what: str, samples: Samples, clients_cpu_s: float) -> Series:
    """Figures of a series in which something was pushed."""
    rounds = len(samples.answered_s)
    return Series(
        what=what,
        rounds=rounds,
        pushes_each=samples.pushes / rounds,
        p50_ms=quantile(samples.answered_s, 0.5) * 1e3,
        p99_ms=quantile(samples.answered_s, 0.99) * 1e3,
        max_ms=max(samples.answered_s) * 1e3,
        prepared_ms=quantile(samples.given_s, 0.5) * 1e3,
        bytes_per_push=samples.bytes / samples.pushes,
        cpu_us_per_push=samples.cpu_s / samples.pushes * 1e6,
        clients_cpu_us_per_push=clients_cpu_s / samples.pushes * 1e6,
    )


def missed(run: Run) -> tuple[str, ...]:
    """The design's bounds that this run did not keep, as sentences."""
    moved = run.move_endpoint
    checks = (
        ("endpoint change, p99 ms", moved.p99_ms, BOUND_P99_MS.get(run.streams)),
        ("CPU per push, times the echo", run.cpu_ratio, BOUND_CPU_RATIO if run.streams >= 100 else None),
        ("KB per proxy", run.kb_per_proxy, BOUND_KB_PER_PROXY if run.streams >= MANY else None),
        ("first configuration, s", run.first_config_s, BOUND_FIRST_CONFIG_S.get(run.streams)),
        ("bytes for edits without meaning", run.noop_bytes, 0.0),
    )
    return _sentences(f"{run.streams} proxies", checks)


def missed_by_crew(run: WorkersRun) -> tuple[str, ...]:
    """The same of several workers."""
    checks = (
        ("endpoint change, p99 ms", run.move_endpoint.p99_ms, BOUND_CREW_P99_MS.get(run.streams)),
        ("KB per proxy", run.kb_per_proxy_after, BOUND_KB_PER_PROXY if run.streams >= 1000 else None),
        ("memory's growth", run.growth, BOUND_GROWTH if run.streams >= 1000 else None),
        ("first configuration, s", run.first_config_s, BOUND_CREW_FIRST_CONFIG_S.get(run.streams)),
    )
    return _sentences(f"{run.streams} proxies, {run.workers} workers", checks)


def _sentences(who: str, checks: Iterable[tuple[str, float, float | None]]) -> tuple[str, ...]:
    return tuple(
        f"{who}: {what}: found {found:.4g}, allowed is {bound:g}"
        for what, found, bound in checks
        if bound is not None and found > bound
    )
