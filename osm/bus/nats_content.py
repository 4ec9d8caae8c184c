"""What a bucket in NATS should hold, what it does hold as far as its writer knows, and the writes between. Pure.

Apart from `nats_writer`, which sends those writes and may lose the right to: here is only what was written and read.
What is not signed by the bucket's owner is nobody's: it is not taken over, and is overwritten.
"""

from collections.abc import Iterable, Mapping

import msgspec

from osm.bus import documents, nats_wire
from osm.bus.nats_wire import Entry, Forgery, Mark, Step


class Content:
    """One writer's part of a bucket: the keys of these kinds (all if empty). `now`: a clock that never goes back."""

    def __init__(self, entities: frozenset[str]) -> None:
        self.desired: dict[str, bytes] = {}
        self.actual: dict[str, bytes] = {}
        self.revision = 0
        """The last sequence that holds something for readers: no lease."""
        self.whole = False
        """Whether `desired` is all that there should be."""
        self._entities = entities
        self._forged: set[str] = set()
        self._marks: dict[str, Mark] = {}
        self._keys: set[str] = set()
        self._tombstones: dict[str, tuple[int, float]] = {}

    @property
    def doubtful(self) -> bool:
        """Whether a key of ours holds what we have not put there."""
        return bool(self._forged)

    def want(self, change: documents.Change) -> list[Step]:
        """From now on it should hold this too; the steps from what it should have held before."""
        self.desired.update(change.puts)
        for key in change.deletes:
            self.desired.pop(key, None)
        return [*change.puts.items(), *((key, None) for key in change.deletes)]

    def missing(self) -> list[Step]:
        """What makes the bucket hold what it should."""
        puts = [(key, body) for key, body in self.desired.items() if self.actual.get(key) != body]
        forged = self._forged if self.whole else set()  # what they held we know only after a full picture
        return [*puts, *((key, None) for key in sorted((self.actual.keys() | forged) - self.desired.keys()))]

    def framed(self, steps: list[Step], incarnation: str) -> list[Step]:
        """With the marks of a filling around the steps, if the bucket is not known to be full."""
        keys = nats_wire.mark_keys(self._entities)
        marks = {self._marks.get(key) for key in keys}
        if not self.whole or all(mark is not None and mark.complete for mark in marks):
            return steps
        begin, end = (
            msgspec.json.encode(Mark(incarnation=incarnation, complete=complete)) for complete in (False, True)
        )
        return [*((key, begin) for key in keys), *steps, *((key, end) for key in keys)]

    def read(self, entries: Iterable[Entry | Forgery], now: float) -> None:
        """Take what was read, newest entry per key, for what the bucket holds."""
        self.actual, self._marks, self._tombstones, self.revision = {}, {}, {}, 0
        self._forged, self._keys = set(), set()
        for entry in entries:
            self._keys.add(entry.key)
            if nats_wire.is_lease(entry.key):
                continue
            self.revision = max(self.revision, entry.revision)
            if not self._is_ours(entry.key):
                continue
            if isinstance(entry, Entry):
                self._remember(entry.key, entry.body, entry.revision, now)
            elif not nats_wire.is_mark(entry.key):  # a mark that is missing is made anew, and all with it
                self._forged.add(entry.key)

    def wrote(self, key: str, body: bytes | None, sequence: int, now: float) -> None:
        """The step was written there."""
        self._keys.add(key)
        if not nats_wire.is_lease(key):
            self.revision = sequence
            self._remember(key, body, sequence, now)

    def is_of(self, messages: int) -> bool:
        """Whether a stream with so many messages can be this content: purges leave no other trace."""
        if self._entities:  # others write here too
            return messages >= len(self._keys)
        return messages == len(self._keys)

    def tombstones(self, before: float) -> Mapping[str, int]:
        """Deletions that we have known of since before that time: key → sequence."""
        return {key: sequence for key, (sequence, since) in self._tombstones.items() if since < before}

    def swept(self, key: str) -> None:
        """The deletion of this key is no longer there."""
        self._tombstones.pop(key, None)
        self._keys.discard(key)

    def _remember(self, key: str, body: bytes | None, sequence: int, now: float) -> None:
        self._tombstones.pop(key, None)
        self._forged.discard(key)
        if nats_wire.is_mark(key):
            mark = nats_wire.read_mark(body)
            if mark is not None:
                self._marks[key] = mark
        elif body is None:
            self.actual.pop(key, None)
            self._tombstones[key] = (sequence, now)
        else:
            self.actual[key] = body

    def _is_ours(self, key: str) -> bool:
        if nats_wire.is_mark(key):
            return key in nats_wire.mark_keys(self._entities)
        return not self._entities or documents.entity(key) in self._entities
