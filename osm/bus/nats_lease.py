"""Who may write a bucket: waiting for one's turn, and knowing whether it has passed.

A lease is a key of the bucket itself, so taking it is a write like any other: it moves the stream's last sequence,
and every write of a deposed leader, who expects the old one, fails, on whichever key.
"""

import asyncio
from collections.abc import Mapping

import structlog
from msgspec import Struct

from osm.bus import BusError, nats_buckets, nats_wire
from osm.bus.log_throttle import LogThrottle
from osm.bus.nats_connection import AWAY, RETRY_S, NatsConnection, is_refusal
from osm.bus.nats_follow import Follower, wait
from osm.bus.nats_wire import Entry, Forgery, Lease

log = structlog.get_logger()


class Holding(Struct, frozen=True, kw_only=True):
    """What a bucket held at stream sequence `last`: newest entry per key, the bus's own and deletions included."""

    entries: Mapping[str, Entry | Forgery]
    last: int
    created: str


class Rivals:
    """The leases of others, and when each was last heard of (by our clock: no clocks are compared)."""

    def __init__(self, entities: frozenset[str], own: Lease) -> None:
        self._entities = entities
        self._own = own
        self._seen: dict[str, tuple[Lease, float]] = {}

    def see(self, entry: Entry | Forgery, now: float) -> None:
        if not self._excludes(entry.key):
            return
        if isinstance(entry, Forgery):
            # it hides whether somebody leads: a leader says so again within its lease, and only once is it waited for
            self._seen.setdefault(entry.key, (Lease(holder="", lease_s=self._own.lease_s), now))
            return
        lease = nats_wire.read_lease(entry.body)
        if lease is None or lease.holder == self._own.holder or self._is_predecessor(lease):
            self._seen.pop(entry.key, None)
        else:
            self._seen[entry.key] = (lease, now)

    def _is_predecessor(self, lease: Lease) -> bool:
        """Whether it was of a process in whose seat we are: it is dead, or paused and will find itself deposed."""
        return bool(lease.seat) and lease.seat == self._own.seat

    def free_at(self) -> float:
        """When the last of them will have been silent for too long."""
        return max((heard + lease.lease_s for lease, heard in self._seen.values()), default=0.0)

    def overdue(self) -> tuple[str, ...]:
        """The lease keys to take away when taking over."""
        return tuple(sorted(self._seen))

    def forget(self) -> None:
        self._seen.clear()

    def _excludes(self, key: str) -> bool:
        return not self._entities or key == nats_wire.LEADER or key in nats_wire.lease_keys(self._entities)


async def read_when_free(
    link: NatsConnection, bucket: str, rivals: Rivals | None, *, replicas: int, reached: int = 0
) -> Holding:
    """All that a bucket holds, as soon as no rival's lease on it stands (if given).

    It is made if it is not there, to count on from revision `reached`.

    Waits as long as the server is away. Raises BusError if it refuses.
    """
    failures = LogThrottle()
    while True:
        await link.until_connected()
        try:
            return await _read_when_free(link, bucket, rivals, replicas, reached)
        except AWAY as error:
            if is_refusal(error):
                raise BusError(f"bucket {bucket}: the server refuses: {error}") from error
            words = str(error) or "no answer"
            if failures.due(words, asyncio.get_running_loop().time()):
                log.info("bus bucket not read, trying again", bucket=bucket, error=words)
            await asyncio.sleep(RETRY_S)


async def _read_when_free(
    link: NatsConnection, bucket: str, rivals: Rivals | None, replicas: int, reached: int
) -> Holding:
    """Raises one of `nats_link.AWAY` when the thread is lost: rivals are then watched for a whole lease again."""
    entries: dict[str, Entry | Forgery] = {}
    changed = asyncio.Event()
    clock = asyncio.get_running_loop().time

    def see(entry: Entry | Forgery) -> None:
        entries[entry.key] = entry
        if rivals is not None and nats_wire.is_lease(entry.key):
            rivals.see(entry, clock())
            changed.set()

    if rivals is not None:
        rivals.forget()
    await nats_buckets.ensure(link, bucket, replicas=replicas, reached=reached)
    follower = Follower(link, bucket, see, changed)
    try:
        await follower.start()
        while not follower.complete or (rivals is not None and rivals.free_at() > clock()):
            if not follower.check():
                raise ConnectionError(follower.lost)
            await wait(changed, RETRY_S)
    finally:
        await follower.stop()
    return Holding(entries=entries, last=follower.last, created=follower.created)
