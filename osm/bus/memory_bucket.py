"""One bucket in memory: bodies by key, who may write, and what each reader has still to be told.

Separate from `memory` because this is the whole of its state; nothing here waits except a standby for its turn.
"""

import asyncio
from typing import Any

from osm.bus import Document, Update, documents
from osm.bus.rights import STATUS
from osm.contracts.channels import BUCKETS


class Entry:
    """One write. It is decoded when the first reader is told of it, once for all of them."""

    __slots__ = ("_document", "body", "key", "revision", "trace", "writer")

    def __init__(self, key: str, body: bytes | None, revision: int, writer: str, trace: str) -> None:
        self.key = key
        self.body = body
        self.revision = revision
        self.writer = writer
        self.trace = trace
        self._document: Document | None = None

    def document(self, bucket: str) -> Document:
        if self._document is None:
            about: dict[str, Any] = {
                "bucket": bucket,
                "key": self.key,
                "revision": self.revision,
                "writer": self.writer,
                "trace": self.trace,
            }
            body = self.body
            self._document = documents.deletion(**about) if body is None else documents.read(body=body, **about)
        return self._document


class Claim:
    """A wish to write some kinds of keys (all if empty): granted once no earlier claim to one of them stands."""

    def __init__(self, entities: frozenset[str]) -> None:
        self.entities = entities
        self.granted = False
        self._turn = asyncio.Event()

    def conflicts(self, other: "Claim") -> bool:
        return not self.entities or not other.entities or bool(self.entities & other.entities)

    def grant(self) -> None:
        self.granted = True
        self._turn.set()

    async def wait(self) -> None:
        await self._turn.wait()


class Bucket:
    """Whole values by key. `synced` names the kinds of keys whose picture is full; `*` stands for all."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entities = frozenset(state.entity for state in BUCKETS[name])
        self.entries: dict[str, Entry] = {}
        self.bodies: dict[str, bytes] = {}
        self.revision = 0
        self.incarnation = 1
        self.synced: set[str] = {"*"} if name == STATUS else set()
        self.claims: list[Claim] = []
        self.feeds: list[Feed] = []

    def put(self, key: str, body: bytes, writer: str, trace: str) -> int:
        self.revision += 1
        entry = self.entries[key] = Entry(key, body, self.revision, writer, trace)
        self.bodies[key] = body
        self._tell(entry)
        return self.revision

    def delete(self, key: str, writer: str, trace: str) -> None:
        self.revision += 1
        del self.entries[key], self.bodies[key]
        self._tell(Entry(key, None, self.revision, writer, trace))

    def mark_synced(self, entities: frozenset[str]) -> None:
        """The picture of these kinds is full now. The first time, that is a write, and readers are told."""
        marks = entities or {"*"}
        if marks <= self.synced:
            return
        self.synced |= marks
        self.revision += 1
        for feed in self.feeds:
            feed.wake()

    def is_full(self, entities: frozenset[str]) -> bool:
        return "*" in self.synced or (entities or self.entities) <= self.synced

    def remake(self) -> None:
        """Lose everything. Readers are told nothing until the picture is full again."""
        self.entries.clear()
        self.bodies.clear()
        self.synced.clear()
        self.incarnation += 1
        for feed in self.feeds:
            feed.start_over()

    def claim(self, entities: frozenset[str]) -> Claim:
        claim = Claim(entities)
        self.claims.append(claim)
        self._grant()
        return claim

    def release(self, claim: Claim) -> None:
        claim.granted = False
        if claim in self.claims:
            self.claims.remove(claim)
            self._grant()

    def _grant(self) -> None:
        for place, claim in enumerate(self.claims):
            if not any(claim.conflicts(earlier) for earlier in self.claims[:place]):
                claim.grant()

    def _tell(self, entry: Entry) -> None:
        for feed in self.feeds:
            feed.add(entry)


class Feed:
    """What one reader has not been told yet: the newest write per key, or that its whole picture is due."""

    def __init__(self, bucket: Bucket, entities: frozenset[str], changed: asyncio.Event) -> None:
        self._bucket = bucket
        self._entities = entities
        self._changed = changed
        self._pending: dict[str, Entry] = {}
        self._moved = False
        self._whole_due = True
        bucket.feeds.append(self)
        self.wake()

    def add(self, entry: Entry) -> None:
        if not self._whole_due and self._wants(entry.key):
            self._pending[entry.key] = entry
        self.wake()

    def wake(self) -> None:
        self._moved = True
        self._changed.set()

    def start_over(self) -> None:
        self._pending.clear()
        self._whole_due = True

    def take(self) -> Update | None:
        """The next update; None if there is nothing to tell, or the whole picture is due and not there yet."""
        if not self._moved or (self._whole_due and not self._bucket.is_full(self._entities)):
            return None
        whole, self._whole_due, self._moved = self._whole_due, False, False
        entries = [e for e in self._bucket.entries.values() if self._wants(e.key)] if whole else self._pending.values()
        told = tuple(entry.document(self._bucket.name) for entry in entries)
        self._pending = {}
        return Update(
            bucket=self._bucket.name,
            full=whole,
            documents=told,
            revision=self._bucket.revision,
            incarnation=str(self._bucket.incarnation),
        )

    def close(self) -> None:
        self._bucket.feeds.remove(self)

    def _wants(self, key: str) -> bool:
        return not self._entities or documents.entity(key) in self._entities
