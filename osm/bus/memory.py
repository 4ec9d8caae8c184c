"""The bus inside one process: what `osm up` runs on, and what tests of services are given.

One `MemoryCore` holds the buckets; each service gets a `Bus` with its own name from it, and the same rights as
NATS would give. Values lie as encoded bytes, so that nothing passes here which could not pass between processes.
All writes are plain function calls in one event loop: no locks, no tasks, no copies.
It refuses to reach outside the process (`socket` lends it to the CLI), and to survive it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from msgspec import Struct

from osm.bus import (
    Bus,
    BusError,
    LeadershipLost,
    NoAnswer,
    StatusWriter,
    Update,
    Writer,
    documents,
    rights,
    trace,
)
from osm.bus.memory_bucket import Bucket, Claim, Entry, Feed
from osm.contracts.channels import BUCKETS, STATUS_MAX_AGE_S, Rpc, State
from osm.contracts.codec import Undecodable, decode

T = TypeVar("T", bound=Struct)
Q = TypeVar("Q", bound=Struct)

_Answer = Callable[[str, bytes], Awaitable[bytes]]


class MemoryCore:
    """The buckets and the answering services of one embedded mesh."""

    def __init__(self, *, max_bytes: int = documents.MAX_BYTES, status_max_age_s: float = STATUS_MAX_AGE_S) -> None:
        self.max_bytes = max_bytes
        self.status_max_age_s = status_max_age_s
        self.buckets = {name: Bucket(name) for name in BUCKETS}
        self.answers: dict[tuple[str, str], list[_Answer]] = {}

    def bus(self, name: str) -> "MemoryBus":
        """A service's own view: its name signs what it writes and asks."""
        return MemoryBus(self, name)

    def depose(self, bucket: str) -> None:
        """Take the right to write from whoever has it, as if it had been paused for longer than its lease."""
        for claim in [claim for claim in self.buckets[bucket].claims if claim.granted]:
            self.buckets[bucket].release(claim)

    def lose(self, bucket: str) -> None:
        """Empty a bucket and make it anew, as if the server had lost its disk; its writer does not notice here."""
        self.buckets[bucket].remake()

    def put(self, bucket: str, key: str, body: bytes, *, writer: str = "") -> int:
        """Put a body past all fences and checks: what a newer, older or broken writer might have left."""
        return self.buckets[bucket].put(key, body, writer, "")


class MemoryBus(Bus):
    """One service's bus. `close` when the service ends: its status lines begin to age."""

    def __init__(self, core: MemoryCore, name: str) -> None:
        self.name = name
        self._core = core
        self._status = _MemoryStatus(core, name)

    @asynccontextmanager
    async def writer(self, bucket: str, entities: Collection[str] = ()) -> AsyncIterator[Writer]:
        rights.require_write(self.name, bucket)
        home = self._core.buckets[bucket]
        claim = home.claim(frozenset(entities))
        try:
            await claim.wait()
            yield _MemoryWriter(self._core, home, claim, self.name)
        finally:
            home.release(claim)

    async def watch(self, *buckets: str, states: Collection[State[Any]] = ()) -> AsyncIterator[Update]:
        for bucket in buckets:
            rights.require_read(self.name, bucket)
        changed = asyncio.Event()
        feeds = [Feed(self._core.buckets[bucket], documents.kinds(bucket, states), changed) for bucket in buckets]
        try:
            while True:
                await changed.wait()
                changed.clear()
                for feed in feeds:
                    if (update := feed.take()) is not None:
                        yield update
        finally:
            for feed in feeds:
                feed.close()

    def status(self) -> StatusWriter:
        return self._status

    async def ask(self, rpc: Rpc[Q, T], request: Q, *, timeout_s: float = 5.0) -> T:
        rights.require_ask(self.name, rpc)
        servers = self._core.answers.get((rpc.owner, rpc.verb))
        if not servers:
            raise NoAnswer(f"{rpc.owner} {rpc.verb}: nobody serves it")
        servers.append(answer := servers.pop(0))
        body = documents.encode_one(f"{rpc.owner} {rpc.verb}: the request", request, self._core.max_bytes)
        try:
            async with asyncio.timeout(timeout_s):
                reply = await answer(self.name, body)
        except TimeoutError:
            raise NoAnswer(f"{rpc.owner} {rpc.verb}: no answer within {timeout_s:g} s") from None
        except BusError:
            raise
        except Exception as error:  # one question's failure is the asker's to hear, as over NATS
            raise BusError(f"{rpc.owner} {rpc.verb}: the answer failed: {error}") from error
        return decode(rpc.reply, reply)

    @asynccontextmanager
    async def serve(self, rpc: Rpc[Q, T], answer: Callable[[str, Q], Awaitable[T]]) -> AsyncIterator[None]:
        rights.require_serve(self.name, rpc)

        async def reply(caller: str, body: bytes) -> bytes:
            try:
                request = decode(rpc.request, body)
            except Undecodable as error:
                raise BusError(f"{rpc.owner} {rpc.verb}: {error}") from error
            said = await answer(caller, request)
            return documents.encode_one(f"{rpc.owner} {rpc.verb}: the answer", said, self._core.max_bytes)

        servers = self._core.answers.setdefault((rpc.owner, rpc.verb), [])
        servers.append(reply)
        try:
            yield
        finally:
            servers.remove(reply)

    async def ready(self) -> bool:
        return True

    def close(self) -> None:
        """From now on nobody refreshes this service's status lines."""
        self._status.close()


class _MemoryWriter(Writer):
    def __init__(self, core: MemoryCore, bucket: Bucket, claim: Claim, name: str) -> None:
        self._core = core
        self._bucket = bucket
        self._claim = claim
        self._name = name
        self._published = False

    async def publish(self, puts: Mapping[str, Struct], *, keep: Collection[str] = ()) -> int:
        bodies = self._encode(puts)
        self._write(documents.whole(self.held(), bodies, keep))
        self._bucket.mark_synced(self._claim.entities)
        self._published = True
        return self._bucket.revision

    async def apply(self, puts: Mapping[str, Struct], deletes: Collection[str] = ()) -> int:
        if not self._published:
            raise BusError(f"bucket {self._bucket.name}: apply before the first publish")
        bodies = self._encode(puts)
        for key in deletes:
            documents.require_kind(self._bucket.name, key, self._claim.entities)
        self._write(documents.change(self._bucket.bodies, bodies, deletes))
        return self._bucket.revision

    def held(self) -> Mapping[str, bytes]:
        entities = self._claim.entities
        bodies = self._bucket.bodies
        return {key: bodies[key] for key in bodies if not entities or documents.entity(key) in entities}

    def _encode(self, puts: Mapping[str, Struct]) -> dict[str, bytes]:
        if not self._claim.granted:
            raise LeadershipLost(f"bucket {self._bucket.name}: {self._name} is no longer its writer")
        return documents.encode_all(self._bucket.name, puts, entities=self._claim.entities, limit=self._core.max_bytes)

    def _write(self, change: documents.Change) -> None:
        traceparent = trace.current()
        for key, body in change.puts.items():
            self._bucket.put(key, body, self._name, traceparent)
        for key in change.deletes:
            self._bucket.delete(key, self._name, traceparent)


class _MemoryStatus(StatusWriter):
    """Status lines live as long as the bus they were put by, and one maximum age more."""

    def __init__(self, core: MemoryCore, name: str) -> None:
        self._core = core
        self._bucket = core.buckets[rights.STATUS]
        self._name = name
        self._lines: dict[str, Entry] = {}

    async def put(self, key: str, value: Struct) -> None:
        rights.require_status(self._name, key)
        (body,) = documents.encode_all(rights.STATUS, {key: value}, limit=self._core.max_bytes).values()
        if self._bucket.bodies.get(key) != body:
            self._bucket.put(key, body, self._name, trace.current())
        self._lines[key] = self._bucket.entries[key]

    async def delete(self, key: str) -> None:
        rights.require_status(self._name, key)
        self._lines.pop(key, None)
        if key in self._bucket.bodies:
            self._bucket.delete(key, self._name, trace.current())

    def close(self) -> None:
        lines, self._lines = self._lines, {}
        if lines:
            asyncio.get_running_loop().call_later(self._core.status_max_age_s, self._age, lines)

    def _age(self, lines: Mapping[str, Entry]) -> None:
        for key, entry in lines.items():
            if self._bucket.entries.get(key) is entry:
                self._bucket.delete(key, "", "")
