"""How far a change has come: the chain of revisions from a bucket's revision to the last acknowledgement.

Pure. A change is published by its owner at some revision of its bucket; the catalog says when it has worked that
in and what revision of its own came of it; every xds replica says when all its proxies have acknowledged that.
"""

from collections.abc import Iterable

from msgspec import Struct

from osm.contracts.status import Progress


class Live(Struct, frozen=True, kw_only=True):
    """Every connected proxy has acknowledged; `at_s` is when the last one did, seconds since the epoch."""

    at_s: float
    proxies: int


class Pending(Struct, frozen=True, kw_only=True):
    """Not yet: where the change is, and who lags."""

    where: str
    behind: tuple[str, ...] = ()


def propagation(bucket: str, revision: int, progress: Iterable[Progress]) -> Live | Pending:
    """How far the change that was published at `revision` of `bucket` (meshspec or endpoints) has come."""
    lines = tuple(progress)
    catalogs = [line for line in lines if line.service == "catalog"]
    worked_in = [line for line in catalogs if dict(line.inputs).get(bucket, 0) >= revision]
    if not worked_in:
        return Pending(where="catalog has not worked it in")
    target = max(line.output for line in worked_in)
    replicas = [line for line in lines if line.service == "xds"]
    if not replicas:
        return Pending(where="no xds replica reports")
    late = [line for line in replicas if line.output < target]
    if late:
        return Pending(
            where=f"xds {', '.join(line.replica for line in late)} waits for acknowledgements",
            behind=tuple(sorted(name for line in late for name in line.behind)),
        )
    return Live(at_s=max(line.at_s for line in replicas), proxies=sum(line.proxies for line in replicas))
