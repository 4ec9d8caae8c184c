"""What a comparison found: its shape. Pure; `bench/results/peers-*.json` is one of it."""

from msgspec import Struct

from bench.result import Measured, Run, Series


class PeerRun(Struct, frozen=True, kw_only=True):
    """One control plane under so many proxies. The figures mean what they mean in `bench.result.Run`.

    `prepared_ms` is until its input had taken the change in: ours and go-control-plane's caches, Istio's API server.
    """

    peer: str
    streams: int
    mutual_tls: bool
    first_config_s: float
    first_config_mb: float
    baseline_mb: float
    kb_per_proxy: float
    move_endpoint: Series


class Comparison(Measured, frozen=True, kw_only=True):
    """All of one call of `python -m bench.peers`; runs of one number of streams follow each other, ours first."""

    settings: dict[str, int | bool | str]
    runs: tuple[PeerRun, ...]


OURS = "osm"


def of_ours(run: Run) -> PeerRun:
    return PeerRun(
        peer=OURS,
        streams=run.streams,
        mutual_tls=True,
        first_config_s=run.first_config_s,
        first_config_mb=run.first_config_mb,
        baseline_mb=run.baseline_mb,
        kb_per_proxy=run.kb_per_proxy,
        move_endpoint=run.move_endpoint,
    )


def ours_beside(runs: tuple[PeerRun, ...], run: PeerRun) -> PeerRun:
    """Our run with as many proxies, to which another is compared. Raises StopIteration if there is none."""
    return next(one for one in runs if one.peer == OURS and one.streams == run.streams)
