"""What to write to the bucket: the difference between two pictures, and what an earlier run has left there. Pure.

Apart from `state`, which knows nothing of a bucket. What a restarted process finds there is taken back only when it
has read everything: an object whose file or text is broken today was good yesterday, and lies here still.
"""

from collections.abc import Collection, Mapping

from msgspec import Struct

from osm.contracts.egress import Egress
from osm.contracts.policy import HttpRouteGroup, IngressBackend, Mesh, TcpRoute, TrafficSplit, TrafficTarget
from osm.contracts.telemetry import ExtensionService, Telemetry
from osm.contracts.traffic_settings import Retry, UpstreamTrafficSetting
from services.meshspec.state import Picture

_LAST_FIRST = (
    UpstreamTrafficSetting,
    Retry,
    IngressBackend,
    Egress,
    TrafficSplit,
    TrafficTarget,
    TcpRoute,
    HttpRouteGroup,
    Telemetry,
    ExtensionService,
    Mesh,
)
"""Removals go out with what refers to others first."""


class Step(Struct, frozen=True, kw_only=True):
    """Documents to put, in order; keys to delete, in order; and keys of an earlier run that stay untouched."""

    puts: Mapping[str, Struct]
    deletes: tuple[str, ...]
    inherited: frozenset[str]


def step(before: Mapping[str, Struct], now: Picture, inherited: Collection[str]) -> Step:
    """From the documents written `before` to those of `now`; `inherited` is what an earlier run left in the bucket."""
    left = frozenset(inherited) - now.documents.keys()
    stay = left if not now.found.complete else left & now.spoiled
    gone = {key: _rank(before[key]) for key in before.keys() - now.documents.keys()}
    gone |= {key: len(_LAST_FIRST) for key in left - stay}
    return Step(
        puts={key: document for key, document in now.documents.items() if before.get(key) != document},
        deletes=tuple(sorted(gone, key=lambda key: (gone[key], key))),
        inherited=stay,
    )


def _rank(document: Struct) -> int:
    return next(rank for rank, kind in enumerate(_LAST_FIRST) if isinstance(document, kind))
