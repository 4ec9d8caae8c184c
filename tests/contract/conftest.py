"""The same contract over each carrier: memory, and a real nats-server (current and oldest supported)."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec
import nats
import pytest
from nats.aio.client import Client

from osm.bus import Bus
from osm.bus.memory import MemoryCore
from osm.bus.nats import open_nats
from osm.bus.nats_program import find, find_oldest
from osm.bus.nats_settings import NatsSettings
from osm.bus.nats_wire import Lease, stream, subject
from osm.testing.nats_server import NatsServer, nats_server

STATUS_MAX_AGE_S = 0.6


class Carrier(Protocol):
    """What the contract tests need of a bus, and what they do to it."""

    def bus(self, name: str) -> AbstractAsyncContextManager[Bus]: ...

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        """Leave a body that no writer of ours would."""

    async def depose(self, bucket: str) -> None:
        """Let another have taken the bucket over without the writer's noticing, and be gone again."""

    async def lose(self, bucket: str) -> None:
        """Lose the bucket and all that is in it."""


class MemoryCarrier:
    def __init__(self) -> None:
        self.core = MemoryCore(status_max_age_s=STATUS_MAX_AGE_S)

    @asynccontextmanager
    async def bus(self, name: str) -> AsyncIterator[Bus]:
        bus = self.core.bus(name)
        try:
            yield bus
        finally:
            bus.close()

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        self.core.put(bucket, key, body)

    async def depose(self, bucket: str) -> None:
        self.core.depose(bucket)

    async def lose(self, bucket: str) -> None:
        self.core.lose(bucket)


class NatsCarrier:
    settings = NatsSettings(lease_s=1.5, reconcile_s=2.0)

    def __init__(self, server: NatsServer, admin: Client) -> None:
        self.server = server
        self.admin = admin

    def bus(self, name: str) -> AbstractAsyncContextManager[Bus]:
        return open_nats(self.server.url, name, self.settings, status_max_age_s=STATUS_MAX_AGE_S)

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        await self.admin.request(subject(bucket, key), body, timeout=5)

    async def depose(self, bucket: str) -> None:
        await self.put(bucket, "_leader", msgspec.json.encode(Lease(holder="another", lease_s=0.1)))

    async def lose(self, bucket: str) -> None:
        await self.admin.jetstream().delete_stream(stream(bucket))


def _binary(kind: str) -> Path:
    return find_oldest() if kind == "nats-oldest" else find()


@asynccontextmanager
async def nats_carrier(binary: Path) -> AsyncIterator[NatsCarrier]:
    async with nats_server(binary) as server:
        admin = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_ignore)
        try:
            yield NatsCarrier(server, admin)
        finally:
            await admin.close()


async def _ignore(error: Exception) -> None:
    """The tests take the server away on purpose."""


@pytest.fixture(params=["memory", "nats", "nats-oldest"])
async def carrier(request: pytest.FixtureRequest) -> AsyncIterator[Carrier]:
    if request.param == "memory":
        yield MemoryCarrier()
        return
    async with nats_carrier(_binary(request.param)) as carrier:
        yield carrier


@pytest.fixture(params=["nats", "nats-oldest"])
def binary(request: pytest.FixtureRequest) -> Path:
    return _binary(request.param)


@pytest.fixture
async def over_nats(binary: Path) -> AsyncIterator[NatsCarrier]:
    async with nats_carrier(binary) as carrier:
        yield carrier
