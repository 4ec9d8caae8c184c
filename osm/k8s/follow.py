"""All objects of a kind as they change, for as long as anyone asks: list, then watch, and never give up.

One of five things happens to a watch. The server ends it in time: it goes on from the last version. The connection
breaks or falls silent: the same. The server has forgotten that version (410): all is listed again, and what differs
is told. The kind is not there: that is an empty picture, and it is asked for again. The server refuses us or is away:
what was told stands, and it is asked again. And since a watch may lose something without a word, all is listed
again now and then anyway.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Generic, TypeVar

import structlog

from osm.k8s.client import Cluster
from osm.k8s.errors import ApiError, Busy, Forbidden, NotFound, Unreachable
from osm.k8s.measures import Measures
from osm.k8s.objects import Object
from osm.k8s.resource import Resource
from osm.k8s.retry_policy import Pace, RetryPolicy, jittered
from osm.k8s.selection import Selection
from osm.k8s.watch_state import Seen, Told, WatchState

__all__ = ["Pace", "Seen", "follow"]

T = TypeVar("T")

AT_ONCE_S = 0.5
"""A watch that lasts no longer was cut off by something on the way; asking again at once would go on forever."""

LIST_AFTER_FAILURES = 10
"""Failures in a row after which all is listed, not watched: where watches cannot be had, changes are found by lists,
about one in a minute; where we may not watch, at once."""

log = structlog.get_logger()


async def follow(
    cluster: Cluster,
    what: Resource,
    *,
    as_: type[T],
    namespace: str = "",
    labels: str = "",
    fields: str = "",
    pace: Pace | None = None,
) -> AsyncGenerator[Seen[T], None]:
    """The full picture first, then changes; endless. What changes while the reader is busy comes together.

    Never raises for a server that is away or says no: it tells nothing then, and says so in the log, once.
    A reader that leaves early closes it (`contextlib.aclosing`), or the watch stays open for a while.
    """
    of = Selection(what=what, namespace=namespace, labels=labels, fields=fields, metadata_only=as_ is Object)
    follower = _Follower(cluster, of, as_, pace or Pace())
    while True:
        try:
            if follower.due and (seen := await follower.list()):
                yield seen
            async with aclosing(follower.watch()) as changes:
                async for seen in changes:
                    yield seen
        except NotFound:
            if seen := follower.absent():
                yield seen
            await asyncio.sleep(follower.pace.absent_s)
        except ApiError as error:
            await asyncio.sleep(follower.trouble(error))


class _Follower(Generic[T]):
    """The shell around `WatchState`."""

    def __init__(self, cluster: Cluster, of: Selection, as_: type[T], pace: Pace) -> None:
        self.pace = pace
        self._known = WatchState(as_)
        self._cluster = cluster
        self._of = of
        self._measures = Measures(str(of.what))
        self._patience = RetryPolicy(str(of.what), pace)
        self._why = "start"
        self._list_again_s = 0.0

    @property
    def due(self) -> bool:
        """Whether all has to be listed: there is nothing to go on from, or it is time to find what a watch lost."""
        return not self._known.version or _now_s() >= self._list_again_s

    async def list(self) -> Seen[T] | None:
        why = "reconcile" if self._known.version else self._why
        if why not in ("start", "reconcile"):
            await asyncio.sleep(self.pace.relist_s * random.random())  # noqa: S311  # spreads load, hides nothing
        listing = await self._cluster.listing(self._of, page=self.pace.page)
        self._measures.listed(why)
        self._patience.answered()
        self._list_again_s = _now_s() + jittered(self.pace.reconcile_s)
        return self._say(self._known.listed(listing.items, listing.version))

    async def watch(self) -> AsyncGenerator[Seen[T], None]:
        """Until it ends. Raises ApiError; one that ends at once, having told nothing, is none: Unreachable."""
        began_s, useful = _now_s(), False
        for_s = min(jittered(self.pace.watch_s), self._list_again_s - _now_s())
        self._measures.watching()
        events = self._cluster.watching(self._of, self._known.version, for_s=for_s, idle_s=self.pace.idle_s)
        async with aclosing(events) as batches:
            async for lines in batches:
                self._measures.heard()
                if not lines:
                    self._patience.begun()
                    continue
                useful = True
                self._patience.answered()
                told = self._known.happened(lines)
                if seen := self._say(told):
                    yield seen
                if told.relist:
                    self._why = told.relist
                    return
        if not useful and _now_s() - began_s < AT_ONCE_S:
            raise Unreachable(f"watch {self._of.what}: ended at once")

    def absent(self) -> Seen[T] | None:
        """The server has no such kind."""
        self._patience.absent()
        self._measures.heard()
        self._why = "Absent"
        return self._say(self._known.absent())

    def trouble(self, error: ApiError) -> float:
        """How long to wait after an error, in seconds; what it says about our version is remembered."""
        if not isinstance(error, Unreachable | Busy | Forbidden):
            self._known.version, self._why = "", error.reason
        wait_s = self._patience.after(error)
        if isinstance(error, Forbidden) or self._patience.failures % LIST_AFTER_FAILURES == 0:
            self._list_again_s = 0.0
        return wait_s

    def _say(self, told: Told[T]) -> Seen[T] | None:
        for (namespace, name), why in told.unread:
            log.warning("object not read", kind=str(self._of.what), namespace=namespace, name=name, why=why)
        return told.seen


def _now_s() -> float:
    return asyncio.get_running_loop().time()
