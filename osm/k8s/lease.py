"""The right to do something alone, by a Lease of Kubernetes: for work on Kubernetes' own objects.

Who writes a bucket is decided on the bus, where a stale writer is fenced. A Lease fences nothing: whoever holds one
asks `Leadership.holds` before each write. It is False as soon as the right may have passed, also in a process that
was stopped meanwhile and wakes.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final, NoReturn

import msgspec
import structlog

from osm.k8s.client import Cluster
from osm.k8s.errors import ApiError, Conflict, Forbidden, NotFound
from osm.k8s.follow import follow
from osm.k8s.lease_state import HOLDER_GIVES_UP, RENEWED, Claim, Rival, held, released
from osm.k8s.objects import Lease
from osm.k8s.resource import LEASES

log = structlog.get_logger()

RETRY_S: Final = 0.5
"""Between attempts to take a free lease from a server that does not answer."""

FAREWELL_S: Final = 2.0
"""How long an ending holder tries to say so; else the others wait for the lease to run out."""


class Leadership:
    """A right that may pass. `lost` is set when it has."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self._until_s = 0.0

    def holds(self) -> bool:
        """Whether the right is still ours, this instant: for whoever is about to write."""
        return not self.lost.is_set() and _now_s() < self._until_s

    def renewed(self, until_s: float) -> None:
        """Ours until then, by the loop's clock."""
        self._until_s = until_s

    @property
    def until_s(self) -> float:
        return self._until_s


@asynccontextmanager
async def leading(
    cluster: Cluster, namespace: str, name: str, holder: str, *, lease_s: float = 15.0
) -> AsyncIterator[Leadership]:
    """Wait for the lease, hold it for the block, give it back at the end. `holder` is this process's alone.

    The block is not ended when the right is lost: it watches `lost`. Raises Forbidden if we may not write leases.
    """
    seat = _Seat(cluster, Claim(namespace=namespace, name=name, holder=holder, lease_s=lease_s))
    leadership = await seat.take()
    log.info("lease taken", lease=name, namespace=namespace)
    keeping = asyncio.create_task(seat.keep(leadership), name=f"lease {namespace}/{name}")
    try:
        yield leadership
    finally:
        await _ended(keeping)
        if leadership.holds():
            await seat.release()
        leadership.lost.set()


class _Seat:
    """One lease and one who wants it."""

    def __init__(self, cluster: Cluster, claim: Claim) -> None:
        self._cluster = cluster
        self._claim = claim
        self._rival = Rival(claim.holder)
        self._lease: Lease | None = None

    async def take(self) -> Leadership:
        """Returns when it is ours."""
        changed = asyncio.Event()
        looking = asyncio.create_task(self._look(changed), name=f"look at lease {self._claim.name}")
        try:
            await changed.wait()
            while True:
                changed.clear()
                wait_s = self._rival.free_at_s() - _now_s()
                if wait_s <= 0 and (leadership := await self._try()):
                    return leadership
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(wait_s, RETRY_S)):
                        await changed.wait()
        finally:
            await _ended(looking)

    async def keep(self, leadership: Leadership) -> None:
        """Renew until the right has passed."""
        try:
            while leadership.holds():
                await asyncio.sleep(self._claim.lease_s * RENEWED)
                async with asyncio.timeout_at(leadership.until_s):
                    if not await self._renew(leadership):
                        break
        except TimeoutError:
            log.warning("lease not renewed in time", lease=self._claim.name)
        leadership.lost.set()
        log.warning("lease lost", lease=self._claim.name, namespace=self._claim.namespace)

    async def release(self) -> None:
        """Say that it is free, if the server can be told; whoever waits need not wait for it to run out."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                await self._give_back()
        except (ApiError, TimeoutError) as error:
            log.warning("lease not given back", lease=self._claim.name, why=str(error))

    async def _give_back(self) -> None:
        """Raises ApiError."""
        assert self._lease is not None, "only what is held is released"
        try:
            await self._cluster.replace(LEASES, released(self._lease, datetime.now(UTC)))
        except Conflict:  # our end came in the middle of a renewal, and the server took it in nevertheless
            if await self._is_ours():
                await self._cluster.replace(LEASES, released(self._lease, datetime.now(UTC)))

    async def _look(self, changed: asyncio.Event) -> NoReturn:
        while True:
            async for seen in follow(
                self._cluster,
                LEASES,
                as_=Lease,
                namespace=self._claim.namespace,
                fields=f"metadata.name={self._claim.name}",
            ):
                self._rival.see(seen.objects.get((self._claim.namespace, self._claim.name)), _now_s())
                changed.set()

    async def _try(self) -> Leadership | None:
        """Take it if nobody was faster. Raises Forbidden."""
        began_s = _now_s()
        try:
            await self._write(self._rival.lease)
        except Forbidden:
            raise
        except ApiError as error:
            log.info("lease not taken", lease=self._claim.name, why=str(error))
            return None
        leadership = Leadership()
        leadership.renewed(began_s + self._claim.lease_s * HOLDER_GIVES_UP)
        return leadership

    async def _renew(self, leadership: Leadership) -> bool:
        """Whether it may still be ours: an answer that is none is no loss before its time."""
        began_s = _now_s()
        try:
            await self._write(self._lease)
        except (Conflict, NotFound):
            return await self._is_ours()
        except ApiError as error:
            log.warning("lease not renewed", lease=self._claim.name, why=str(error))
            return True
        leadership.renewed(began_s + self._claim.lease_s * HOLDER_GIVES_UP)
        return True

    async def _is_ours(self) -> bool:
        """After a conflict: whether it was our own earlier renewal, whose answer was lost."""
        try:
            self._lease = await self._cluster.get(LEASES, self._claim.name, self._claim.namespace, as_=Lease)
        except NotFound:
            return False
        except ApiError:
            return True
        return self._lease.spec.holder_identity == self._claim.holder

    async def _write(self, over: Lease | None) -> None:
        body = held(self._claim, over, datetime.now(UTC))
        write = self._cluster.create(LEASES, body) if over is None else self._cluster.replace(LEASES, body)
        self._lease = msgspec.convert(await write, Lease)


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancelled and gone. Raises what it failed with."""
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled() and (error := task.exception()):
        raise error


def _now_s() -> float:
    return asyncio.get_running_loop().time()
