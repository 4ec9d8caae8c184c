"""Who may read, write and ask what: the one answer for every adapter.

Writing and asking follow from the channel table; reading is the table below, the arrows of the architecture.
NATS enforces these rights on the server (`permissions` renders them); memory and socket ask here, so a
service that oversteps fails in the embedded mesh already. It refuses to know subjects and connections.
"""

from collections.abc import Mapping
from typing import Any, get_args

from osm.bus import BusError
from osm.contracts.channels import BUCKETS, Owner, Rpc, kind_of

STATUS = "status"
"""The one bucket without a single writer."""

OBSERVERS = ("cli", "console")
"""Users of people: they read every bucket, and write none."""

READERS: Mapping[str, tuple[str, ...]] = {
    "meshspec": ("catalog", "local", "endpoints", "injector"),
    "local": ("endpoints",),
    "endpoints": ("catalog", "certmgr", "injector", "local", "xds"),
    "catalog": ("xds", "injector", "local"),
    "certmgr": ("xds", "injector", "local"),
    "xds": (),
    "status": ("meshspec",),
}
"""Bucket → who reads it beside its owner and the observers.

`meshspec` tells users on a cluster, at their own objects, what the others found; it decides nothing by it."""

SERVICES: tuple[str, ...] = tuple(name for name in get_args(Owner) if name != STATUS)


def may_read(name: str, bucket: str) -> bool:
    return bucket in BUCKETS and (name == bucket or name in OBSERVERS or name in READERS[bucket])


def may_write(name: str, bucket: str) -> bool:
    """Whether `name` is the service that the bucket belongs to; nobody is, of `status`."""
    return name == bucket and bucket in BUCKETS and bucket != STATUS


def may_ask(name: str, rpc: Rpc[Any, Any]) -> bool:
    return name in rpc.callers


def require_read(name: str, bucket: str) -> None:
    """Raises BusError."""
    if not may_read(name, bucket):
        raise BusError(f"bucket {bucket}: {name} may not read it, allowed are {_readers(bucket)}")


def require_write(name: str, bucket: str) -> None:
    """Raises BusError."""
    if not may_write(name, bucket):
        raise BusError(f"bucket {bucket}: {name} may not write it, only the service of that name may")


def require_status(name: str, key: str) -> None:
    """Raises BusError unless `key` is a kind of status line that `name` reports, and is its own."""
    kind = kind_of(STATUS, key)
    if kind is None:
        raise BusError(f"bucket status: {key} is no kind of status line")
    if name not in kind.writers:
        raise BusError(f"bucket status: {name} may not put {key}, allowed are {', '.join(kind.writers)}")
    if kind.parts[0] == "service" and (said := (kind.parse(key) or ("",))[0]) != name:
        raise BusError(f"bucket status: {name} may not put {key}, which is a line of {said}")


def require_ask(name: str, rpc: Rpc[Any, Any]) -> None:
    """Raises BusError."""
    if not may_ask(name, rpc):
        raise BusError(f"{rpc.owner} {rpc.verb}: {name} may not ask, allowed are {', '.join(rpc.callers)}")


def require_serve(name: str, rpc: Rpc[Any, Any]) -> None:
    """Raises BusError."""
    if name != rpc.owner:
        raise BusError(f"{rpc.owner} {rpc.verb}: {name} may not answer, only {rpc.owner} may")


def _readers(bucket: str) -> str:
    return ", ".join((bucket, *READERS.get(bucket, ()), *OBSERVERS)) if bucket in BUCKETS else "no bucket of that name"
