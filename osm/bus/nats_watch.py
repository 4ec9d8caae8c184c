"""From a stream's messages to updates of a bucket: whole pictures first, then what is newest per key.

A feed starts over whenever its picture may have a hole: reconnected, consumer lost, bucket made anew or emptied.
Until the new picture is full (all marks complete), nothing is told, and the reader keeps the last good one.
A forged message hides what its key held, so a new picture is not full before the owner has mended that.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping

import structlog

from osm.bus import Update, documents, nats_wire
from osm.bus.nats_connection import AWAY, NatsConnection
from osm.bus.nats_follow import Follower, wait
from osm.bus.nats_wire import Entry, Forgery, Mark
from osm.bus.rights import STATUS
from osm.contracts.channels import BUCKETS, kind_of

log = structlog.get_logger()

TICK_S = 0.5
"""How often an idle feed looks whether it still holds its thread; also the wait for a bucket that is not there."""


class Feed:
    """What one reader has not been told yet of one bucket."""

    def __init__(
        self,
        link: NatsConnection,
        bucket: str,
        entities: frozenset[str],
        changed: asyncio.Event,
        *,
        reconcile_s: float,
        max_age_s: float,
    ) -> None:
        self.bucket = bucket
        self._link = link
        self._entities = entities
        self._changed = changed
        self._reconcile_s = reconcile_s
        self._max_age_s = max_age_s
        self._ages = bucket == STATUS
        self._follower: Follower | None = None
        self._compared_at = 0.0
        self._whole_due = True
        self._moved = True
        self._picture: dict[str, Entry] = {}
        self._pending: dict[str, Entry | Forgery] = {}
        self._hidden: set[str] = set()
        """Keys of the picture in the making of which only a forged message is left."""
        self._marks: dict[str, Mark] = {}
        self._told_marks: dict[str, Mark] = {}
        self._expires: dict[str, tuple[float, Entry]] = {}
        link.measures.follows(bucket)

    async def tend(self) -> None:
        """Follow, follow anew if the thread is lost, and let old status lines go."""
        if not self._link.connected:
            return
        follower = self._follower
        try:
            if follower is None or not follower.check():
                await self._follow_anew(follower)
            elif self._now() - self._compared_at > self._reconcile_s:
                self._compared_at = self._now()
                await follower.compare()
        except AWAY:
            return  # not now: the bucket is not made yet, or the server is away; the next tick tries again
        self._expire()

    def take(self) -> Update | None:
        """The next update; None if there is nothing new, or the whole picture is due and not full yet."""
        if self._follower is None or self._follower.lost or not self._moved:
            return None
        if self._whole_due and not self._full():
            return None
        whole, told = self._whole_due, self._picture if self._whole_due else self._pending
        if whole:
            self._told_marks = dict(self._marks)
        elif not self._ages and (written := [each.at_s for each in told.values() if isinstance(each, Entry)]):
            self._link.measures.told(self.bucket, min(written))
        self._whole_due, self._moved, self._picture, self._pending = False, False, {}, {}
        return Update(
            bucket=self.bucket,
            full=whole,
            documents=tuple(entry.document(self.bucket) for entry in told.values()),
            revision=self._follower.last,
            incarnation=",".join(mark.incarnation for _, mark in sorted(self._told_marks.items())),
        )

    async def close(self) -> None:
        if self._follower is not None:
            await self._follower.stop()

    async def _follow_anew(self, old: Follower | None) -> None:
        if old is not None:
            log.info("bus bucket read anew", bucket=self.bucket, reason=old.lost)
            self._link.measures.rereads(self.bucket)
            self._follower = None
            await old.stop()
        self._start_over()
        follower = Follower(self._link, self.bucket, self._add, self._changed)
        try:
            await follower.start()
        except AWAY:
            await follower.stop()
            raise
        self._follower = follower
        self._compared_at = self._now()

    def _start_over(self) -> None:
        self._whole_due = True
        self._moved = True
        self._picture, self._pending, self._marks, self._told_marks, self._expires = {}, {}, {}, {}, {}
        self._hidden = set()

    def _add(self, entry: Entry | Forgery) -> None:
        if isinstance(entry, Forgery):
            self._add_forgery(entry)
            return
        if nats_wire.is_lease(entry.key):
            return
        self._moved = True
        if nats_wire.is_mark(entry.key):
            self._add_mark(entry)
        elif not self._entities or documents.entity(entry.key) in self._entities:
            self._add_document(entry)
        self._changed.set()

    def _add_forgery(self, forgery: Forgery) -> None:
        """Told as what cannot be decoded is, unless something true of the key is still to be told.

        All is forged of a bucket that was made anew a moment before we followed it: so look whether it was.
        """
        self._compared_at = min(self._compared_at, self._now() - self._reconcile_s + TICK_S)
        kind = kind_of(self.bucket, forgery.key)
        if kind is None or (self._entities and kind.entity not in self._entities):
            return
        if not self._whole_due:
            self._pending.setdefault(forgery.key, forgery)
            self._moved = True
            self._changed.set()
        elif forgery.key not in self._picture:
            self._hidden.add(forgery.key)

    def _add_mark(self, entry: Entry) -> None:
        """A mark that differs from the one told means that the bucket was emptied: what we know is void."""
        mark = nats_wire.read_mark(entry.body)
        if mark is None:
            self._marks.pop(entry.key, None)
        else:
            self._marks[entry.key] = mark
        told = self._told_marks.get(entry.key)
        if not self._whole_due and told is not None and mark != told and self._follower is not None:
            self._follower.lost = "the bucket was emptied, and is filled again"

    def _add_document(self, entry: Entry) -> None:
        self._hidden.discard(entry.key)
        if not self._whole_due:
            self._pending[entry.key] = entry
        elif entry.body is None:
            self._picture.pop(entry.key, None)
        else:
            self._picture[entry.key] = entry
        if self._ages:
            self._expires.pop(entry.key, None)
            if entry.body is not None:
                self._expires[entry.key] = (self._now() + self._remaining_s(entry), entry)

    def _full(self) -> bool:
        if self._follower is None or not self._follower.complete or self._hidden:
            return False
        if self._ages:
            return True
        complete = {key for key, mark in self._marks.items() if mark.complete}
        kinds = self._entities or {state.entity for state in BUCKETS[self.bucket]}
        return nats_wire.SYNCED in complete or complete.issuperset(nats_wire.mark_keys(frozenset(kinds)))

    def _expire(self) -> None:
        """Lines that nobody has refreshed are no longer true; the server drops them without a word."""
        for key, (deadline, entry) in list(self._expires.items()):
            if deadline > self._now():
                return  # oldest first: every refresh moves its line to the end
            self._add(entry._replace(body=None))
            self._expires.pop(key, None)

    def _remaining_s(self, entry: Entry) -> float:
        """At least half the maximum age, whatever the two clocks say: a live line is refreshed by then."""
        age_s = time.time() - entry.at_s
        return self._max_age_s - min(max(age_s, 0.0), self._max_age_s / 2)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def watch(
    link: NatsConnection, buckets: Mapping[str, frozenset[str]], *, reconcile_s: float, max_age_s: float
) -> AsyncGenerator[Update, None]:
    """Endless updates of the buckets, each limited to some kinds of keys (all if empty).

    One reader, one task: the feeds have none of their own.
    """
    changed = asyncio.Event()
    feeds = [
        Feed(link, bucket, entities, changed, reconcile_s=reconcile_s, max_age_s=max_age_s)
        for bucket, entities in buckets.items()
    ]
    link.wake.add(changed)
    try:
        while True:
            for feed in feeds:
                await feed.tend()
            for feed in feeds:
                if (update := feed.take()) is not None:
                    yield update
            await wait(changed, TICK_S)
    finally:
        link.wake.discard(changed)
        for feed in feeds:
            await feed.close()
