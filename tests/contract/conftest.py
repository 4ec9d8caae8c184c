"""The same contract over each carrier: memory, and a real nats-server (current and oldest supported)."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import msgspec
import nats
import pytest
from nats.aio.client import Client

from osm.bus import Bus, nats_keys
from osm.bus.memory import MemoryCore
from osm.bus.nats import open_nats
from osm.bus.nats_program import find, find_oldest
from osm.bus.nats_settings import NatsSettings
from osm.bus.nats_signature import Claim
from osm.bus.nats_wire import EXPECTED, PROOF, Lease, read_ack, stream, subject
from osm.bus.permissions import USERS, password_variable, render
from osm.testing.nats_server import NatsServer, nats_server
from osm.testing.signing import signing

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
    """`keys` is a folder as `osm bus keys` makes it; `admin` may do anything on the server, and has no key."""

    lease_s = 3.0

    def __init__(self, server: NatsServer, admin: Client, keys: Path) -> None:
        self.server = server
        self.admin = admin
        self.keys = keys

    def settings(self, name: str, **more: object) -> NatsSettings:
        return signing(self.keys, name, **({"lease_s": self.lease_s, "reconcile_s": 2.0} | more))

    def bus(self, name: str) -> AbstractAsyncContextManager[Bus]:
        return open_nats(self.server.url, name, self.settings(name), status_max_age_s=STATUS_MAX_AGE_S)

    async def put(self, bucket: str, key: str, body: bytes) -> None:
        """Signed by the bucket's service, as another version of it would."""
        signer = nats_keys.load(bucket, self.settings(bucket))
        while True:
            info = await self.admin.jetstream().stream_info(stream(bucket))
            last = info.state.last_seq
            (proof,) = signer.prove([Claim(bucket, str(info.created), last + 1, key, "", body)])
            headers = {EXPECTED: str(last), PROOF: proof}
            reply = await self.admin.request(subject(bucket, key), body, timeout=30, headers=headers)
            if read_ack(reply.data).error is None:  # else the writer was faster
                return

    async def depose(self, bucket: str) -> None:
        await self.put(bucket, "_leader", msgspec.json.encode(Lease(holder="another", lease_s=0.1)))

    async def lose(self, bucket: str) -> None:
        await self.admin.jetstream().delete_stream(stream(bucket))


def _binary(kind: str) -> Path:
    return find_oldest() if kind == "nats-oldest" else find()


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everyone's keys."""
    folder = tmp_path_factory.mktemp("keys")
    nats_keys.make_keys(folder)
    return folder


@asynccontextmanager
async def nats_carrier(binary: Path, keys: Path) -> AsyncIterator[NatsCarrier]:
    async with nats_server(binary) as server:
        admin = await nats.connect(server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1, error_cb=_ignore)
        try:
            yield NatsCarrier(server, admin, keys)
        finally:
            await admin.close()


async def _ignore(error: Exception) -> None:
    """The tests take the server away on purpose."""


@pytest.fixture(params=["memory", "nats", "nats-oldest"])
async def carrier(request: pytest.FixtureRequest, keys: Path) -> AsyncIterator[Carrier]:
    if request.param == "memory":
        yield MemoryCarrier()
        return
    async with nats_carrier(_binary(request.param), keys) as carrier:
        yield carrier


@pytest.fixture(params=["nats", "nats-oldest"])
def binary(request: pytest.FixtureRequest) -> Path:
    return _binary(request.param)


@pytest.fixture
async def server(binary: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[NatsServer]:
    """With a user for each service, who has its rights and no other; the password is `secret-` and the name."""
    for user in USERS:
        monkeypatch.setenv(password_variable(user), f"secret-{user}")
    async with nats_server(binary, extra=render()) as server:
        yield server


@pytest.fixture
async def over_nats(binary: Path, keys: Path) -> AsyncIterator[NatsCarrier]:
    async with nats_carrier(binary, keys) as carrier:
        yield carrier
