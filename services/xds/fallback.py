"""What stands in for a resource that must not be served: the last good one, without what has been taken back.

Pure. There are three rungs, each granting no more than the newest policies do; the first one that no proxy has
rejected is served, and if there is none, nothing is:

1. the last good resource with its access control narrowed to what the newest allows as well (itself, if it is);
2. the last good resource, which denies everything;
3. nothing.

A way out of the mesh is not kept once it is switched off: it is a grant without rules that could be narrowed.
"""

from collections.abc import Callable
from functools import lru_cache

from osm.ads.references import message_of
from osm.ads.resource import Resource
from osm.ads.types import CLUSTER, LISTENER, ROUTE
from services.xds.translate import WAYS_OUT, narrowed

REMEMBERED = 256
"""Pairs of resources whose narrowed form is remembered: those that are held back, in all classes."""


def stand_in(good: Resource, newest: Resource | None, is_rejected: Callable[[Resource], bool]) -> Resource | None:
    """What may be served in place of `newest` (None if it is gone)."""
    if good.type_url == CLUSTER:
        return None if newest is None and good.name in WAYS_OUT else good
    if good.type_url not in (LISTENER, ROUTE):
        return good
    for rung in (_narrowed(good, newest), _narrowed(good, None)):
        if rung.version == good.version or not is_rejected(rung):
            return rung
    return None


@lru_cache(maxsize=REMEMBERED)
def _narrowed(good: Resource, newest: Resource | None) -> Resource:
    older = message_of(good)
    message = narrowed(older, None if newest is None else message_of(newest))
    if message == older:
        return good
    return Resource.of(good.name, message, companions=good.companions, origins=good.origins)
