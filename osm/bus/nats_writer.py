"""The single writer of a bucket in NATS: waits for the right to write, then sends what is missing (`nats_content`).

When a write fails because somebody else has written (`nats_fence`), or nobody answered, the bucket is read again: if
our lease still stands, what differs is written again; if it is another's, we are deposed and write no more.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec
import structlog
from msgspec import Struct
from nats.js.errors import NotFoundError

from osm.bus import BusError, LeadershipLost, Writer, documents, nats_fence, nats_lease, nats_wire
from osm.bus.background_tasks import background_tasks
from osm.bus.nats_connection import AWAY, RETRY_S, NatsConnection
from osm.bus.nats_content import Content
from osm.bus.nats_fence import Fence
from osm.bus.nats_lease import Holding, Rivals
from osm.bus.nats_wire import Entry, Forgery, Lease, Step

log = structlog.get_logger()

TOMBSTONE_S = 3600.0
"""For at least this long a deletion stays visible, at most twice as long. Whoever follows the bucket has seen it long
before, and readers start from a whole picture."""

GIVE_BACK_WITHIN_S = 3.0
"""Enough to read a large bucket; a process that ends has more, and a standby waits hardly longer for the lease."""


class NatsWriter(Writer):
    """Made by `hold`. All writes, the lease's included, go through one lock: they share the expected sequence."""

    def __init__(
        self,
        link: NatsConnection,
        bucket: str,
        entities: frozenset[str],
        *,
        lease_s: float,
        replicas: int,
        seat: str = "",
    ) -> None:
        self._link = link
        self._bucket = bucket
        self._entities = entities
        self._replicas = replicas
        self._holder = secrets.token_hex(8)
        self._fence = Fence(link, bucket)
        self._lease_s = lease_s
        self._own = Lease(holder=self._holder, lease_s=lease_s, seat=seat)
        self._lease = msgspec.json.encode(self._own)
        self._leased_at = 0.0
        self._lock = asyncio.Lock()
        self._lost = ""
        self._behind = False
        """Whether a write was broken off, so that the bucket may not hold what it should."""
        self._content = Content(entities)

    async def publish(self, puts: Mapping[str, Struct], *, keep: Collection[str] = ()) -> int:
        bodies = self._encode(puts)
        async with self._lock:
            wanted = documents.whole(self._content.desired, bodies, keep)
            self._content.whole = True
            return await self._change(wanted)

    async def apply(self, puts: Mapping[str, Struct], deletes: Collection[str] = ()) -> int:
        if not self._content.whole:
            raise BusError(f"bucket {self._bucket}: apply before the first publish")
        bodies = self._encode(puts)
        for key in deletes:
            documents.require_kind(self._bucket, key, self._entities)
        async with self._lock:
            return await self._change(documents.change(self._content.desired, bodies, deletes))

    def held(self) -> Mapping[str, bytes]:
        return self._content.desired

    async def take_over(self) -> None:
        """Wait until no other lease stands, and take it. Raises BusError if the server refuses."""
        rivals = Rivals(self._entities, self._own)
        while True:
            holding = await nats_lease.read_when_free(self._link, self._bucket, rivals, replicas=self._replicas)
            self._believe(holding)
            taken = [(key, None) for key in rivals.overdue() if key not in nats_wire.lease_keys(self._entities)]
            if await self._send([*taken, *self._lease_steps()]):
                self._content.desired = dict(self._content.actual)
                return

    async def keep_lease(self) -> None:
        """Endless: refresh the lease, and look whether the bucket still holds what it should."""
        swept_at = self._now()
        while True:
            await asyncio.sleep(self._lease_s / 3)
            async with self._lock:
                try:
                    await self._look_after()
                    if self._now() - swept_at > TOMBSTONE_S:
                        swept_at = self._now()
                        await self._sweep()
                except LeadershipLost:
                    raise
                except (BusError, *AWAY) as error:  # nobody else can write either; the next round tries again
                    log.warning("bus lease not refreshed", bucket=self._bucket, error=str(error))

    async def give_back(self) -> None:
        """So that a standby takes over at once. If that fails it takes over when the lease has run out.

        Of a write that was under way when the context ended nobody knows whether it was written, and so what the
        last sequence is: then the bucket is read, as after any other write that failed.
        """
        if self._lost or not self._link.connected:
            return
        self._lost = "its context has ended"
        released: list[Step] = [(key, None) for key in nats_wire.lease_keys(self._entities)]
        with suppress(TimeoutError, BusError, *AWAY):
            async with asyncio.timeout(GIVE_BACK_WITHIN_S):
                while not await self._send(released):
                    await self._recover()

    def _encode(self, puts: Mapping[str, Struct]) -> dict[str, bytes]:
        self._require_leadership()
        limit = min(documents.MAX_BYTES, self._link.max_body_bytes)
        return documents.encode_all(self._bucket, puts, entities=self._entities, limit=limit)

    def _require_leadership(self) -> None:
        if self._lost:
            raise LeadershipLost(f"bucket {self._bucket}: {self._link.name} is no longer its writer, {self._lost}")

    async def _change(self, change: documents.Change) -> int:
        steps = self._content.want(change)
        await self._write(self._content.missing() if self._behind or self._content.doubtful else steps)
        return self._content.revision

    async def _write(self, steps: list[Step]) -> None:
        """Until the bucket holds what it should. Raises LeadershipLost, or BusError if the server refuses."""
        self._require_leadership()
        self._behind = True
        framed = self._content.framed(steps, secrets.token_hex(8))
        while framed and not await self._send(framed):
            await self._recover()
            framed = self._content.framed(self._content.missing(), secrets.token_hex(8))
        self._behind = False

    async def _send(self, steps: Sequence[Step]) -> bool:
        """Write in order; False as soon as one was not, or not surely, written. Raises BusError for a refusal."""
        rest = list(steps)
        while rest:
            if not nats_wire.is_lease(rest[0][0]) and self._now() - self._leased_at > self._lease_s / 3:
                rest = [*self._lease_steps(), *rest]
            window = nats_fence.window(rest)
            written = await self._fence.write(window)
            for (key, body), sequence in zip(window, written, strict=False):
                self._content.wrote(key, body, sequence, self._now())
                if nats_wire.is_lease(key):
                    self._leased_at = self._now()
            if len(written) < len(window):
                return False
            del rest[: len(window)]
        return True

    def _believe(self, holding: Holding) -> None:
        """Take what was read for what the bucket holds."""
        self._fence.last, self._fence.created = holding.last, holding.created
        self._content.read(holding.entries.values(), self._now())

    async def _recover(self) -> None:
        """Read the bucket again after a write that failed. Raises LeadershipLost if another has taken over."""
        reached = self._fence.last
        while True:
            holding = await nats_lease.read_when_free(
                self._link, self._bucket, None, replicas=self._replicas, reached=reached
            )
            for key in nats_wire.lease_keys(self._entities):
                self._require_lease(holding.entries.get(key))
            self._believe(holding)
            if await self._send(self._lease_steps()):
                return
            await asyncio.sleep(RETRY_S)

    def _require_lease(self, entry: Entry | Forgery | None) -> None:
        """No entry at all: the bucket was emptied, and nobody has taken it yet. A forged one says nothing."""
        if entry is None or isinstance(entry, Forgery):
            return
        lease = nats_wire.read_lease(entry.body)
        if lease is None or lease.holder != self._holder:
            self._lost = "another process has taken it over"
            self._require_leadership()

    async def _look_after(self) -> None:
        if await self._is_whole() and await self._send(self._lease_steps()):
            return
        log.info("bus bucket written anew", bucket=self._bucket, revision=self._content.revision)
        await self._recover()
        await self._write(self._content.missing())

    async def _is_whole(self) -> bool:
        """Whether the stream is the one we wrote, and holds as many keys."""
        try:
            info = await self._link.api(self._link.jetstream.stream_info(nats_wire.stream(self._bucket)))
        except NotFoundError:
            return False
        return str(info.created) == self._fence.created and self._content.is_of(info.state.messages)

    async def _sweep(self) -> None:
        """Remove deletions that every reader has seen. Only up to their own sequence: never a newer value."""
        for key, sequence in self._content.tombstones(self._now() - TOMBSTONE_S).items():
            await self._link.api(
                self._link.jetstream.purge_stream(
                    nats_wire.stream(self._bucket), seq=sequence + 1, subject=nats_wire.subject(self._bucket, key)
                )
            )
            self._content.swept(key)

    def _lease_steps(self) -> list[Step]:
        return [(key, self._lease) for key in nats_wire.lease_keys(self._entities)]

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


@asynccontextmanager
async def hold(writer: NatsWriter) -> AsyncIterator[Writer]:
    """Take over, keep the lease while the context is open, and give it back.

    Losing it ends the body, idle or not, and is raised as LeadershipLost.
    """
    await writer.take_over()
    try:
        async with background_tasks(writer.keep_lease()):
            yield writer
    finally:
        await writer.give_back()
