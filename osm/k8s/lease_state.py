"""The rules of a lease: who holds it, until when, and what to write to hold it. Pure.

No clocks are compared: a lease is free when it has not changed for its own length by the clock of whoever looks.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from osm.k8s.objects import Lease

HOLDER_GIVES_UP: Final = 2 / 3
"""Of a lease, counted from before its last renewal was sent: the rest is the distance to who takes over."""

RENEWED: Final = 1 / 4
"""Of a lease, between renewals: two may fail before the holder gives up."""


class Claim(Struct, frozen=True, kw_only=True):
    """Who wants which lease, and how long a lease is, in seconds. `holder` is one process's alone."""

    namespace: str
    name: str
    holder: str
    lease_s: float


class Rival:
    """The lease as it was seen last, and when it was seen to change."""

    def __init__(self, holder: str) -> None:
        self.lease: Lease | None = None
        self._holder = holder
        self._changed_s = 0.0

    def see(self, lease: Lease | None, now_s: float) -> None:
        self.lease = lease
        self._changed_s = now_s

    @property
    def holder(self) -> str:
        """Who has it, if it is not us; empty for nobody."""
        found = self.lease.spec.holder_identity if self.lease is not None else None
        return found if found and found != self._holder else ""

    def free_at_s(self) -> float:
        """When it may be taken."""
        if self.lease is None or not self.holder:
            return self._changed_s
        return self._changed_s + (self.lease.spec.lease_duration_seconds or 0)


def held(claim: Claim, lease: Lease | None, at: datetime) -> dict[str, Any]:
    """The object that says that the claimant has it, written over `lease`."""
    spec = lease.spec if lease is not None else None
    ours = spec is not None and spec.holder_identity == claim.holder
    acquired = spec.acquire_time if spec is not None and ours and spec.acquire_time else _micro_time(at)
    turns = (spec.lease_transitions or 0) if spec is not None else 0
    return {
        "metadata": _metadata(lease, claim.namespace, claim.name),
        "spec": {
            "holderIdentity": claim.holder,
            "leaseDurationSeconds": max(1, math.ceil(claim.lease_s)),
            "acquireTime": acquired,
            "renewTime": _micro_time(at),
            "leaseTransitions": turns if ours else turns + 1,
        },
    }


def released(lease: Lease, at: datetime) -> dict[str, Any]:
    """The object that says that nobody has it."""
    return {
        "metadata": _metadata(lease, lease.metadata.namespace, lease.metadata.name),
        "spec": {
            "leaseDurationSeconds": 1,
            "renewTime": _micro_time(at),
            "leaseTransitions": lease.spec.lease_transitions or 0,
        },
    }


def _metadata(lease: Lease | None, namespace: str, name: str) -> Mapping[str, str]:
    version = {"resourceVersion": lease.metadata.resource_version} if lease is not None else {}
    return {"namespace": namespace, "name": name, **version}


def _micro_time(at: datetime) -> str:
    """As Kubernetes writes it; `at` is in UTC."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
