"""A light ADS client that behaves like Envoy: for tests of xDS servers, and for benchmarks with many streams.

It subscribes to all clusters and listeners, follows the names it learns from them (load assignments, routes,
secrets), acknowledges what it receives, and keeps it. It validates nothing; a test says what it shall reject.
With `follow=False` it decodes no resources, which keeps a thousand streams in one process cheap.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias

import grpc
import msgspec
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import Message
from grpc import aio

from osm.ads.types import CLUSTER, LISTENER
from osm.testing.ads_references import references, unpack
from osm.testing.ads_status import StreamEnded, ending

DELTA_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
SOTW_METHOD = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

Versions: TypeAlias = Mapping[str, Mapping[str, str]]
"""Type URL → name → version."""


class ClientIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """PEM texts for mutual TLS; `server_name` is the name in the server's certificate."""

    chain_pem: bytes
    key_pem: bytes
    roots_pem: bytes
    server_name: str


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """One response, as a test wants to look at it. In state of the world all resources share one version."""

    type_url: str
    nonce: str
    versions: dict[str, str]
    removed: tuple[str, ...]
    messages: dict[str, Message]
    size: int


class AdsClient:
    """One stream. Open it with `ads_client`."""

    def __init__(
        self,
        call: "aio.StreamStreamCall[bytes, bytes]",
        *,
        node_id: str,
        delta: bool,
        follow: bool,
        initial_versions: Versions,
    ) -> None:
        self.versions: dict[str, dict[str, str]] = {}
        self.messages: dict[str, dict[str, Message]] = {}
        self.received: list[Received] = []
        self.bytes_received = 0
        self.pushes_received = 0
        self.reject: Callable[[Received], str | None] = _accept_all
        self.silent_types: set[str] = set()  # types that are received but not answered
        self.names: dict[str, set[str]] = {}
        self._call = call
        self._node_id = node_id
        self._delta = delta
        self._follow = follow
        self._initial_versions = initial_versions
        self._nonces: dict[str, str] = {}
        self._sotw_versions: dict[str, str] = {}
        self._outbox: asyncio.Queue[Message] = asyncio.Queue()
        self._changed = asyncio.Condition()
        self._status = ending(call)
        self._ended: StreamEnded | None = None

    # What a test says

    def subscribe(self, type_url: str, names: Iterable[str] = ()) -> None:
        """Ask for names; the first request of a type without names asks for everything, as Envoy does."""
        new = sorted(names)
        self.names.setdefault(type_url, set()).update(new)
        self._ask(type_url, subscribe=new)

    def unsubscribe(self, type_url: str, names: Iterable[str]) -> None:
        gone = sorted(names)
        self.names.setdefault(type_url, set()).difference_update(gone)
        for name in gone:
            self.versions.get(type_url, {}).pop(name, None)
            self.messages.get(type_url, {}).pop(name, None)
        self._ask(type_url, unsubscribe=gone)

    def send(self, request: Message) -> None:
        """Send a request of the test's own making."""
        self._outbox.put_nowait(request)

    # What a test waits for

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Wait until `predicate` holds after some response; raises `StreamEnded` if the stream ends before."""
        async with self._changed:
            while not predicate():
                if self._ended is not None:
                    raise self._ended
                await self._changed.wait()

    async def version(self, type_url: str, name: str, version: str | None = None) -> str:
        """Wait for a resource, or for a certain version of it."""
        await self.until(lambda: self._has(type_url, name, version))
        return self.versions[type_url][name]

    async def gone(self, type_url: str, name: str) -> None:
        """Wait until a resource that was there has been removed."""
        await self.until(lambda: name not in self.versions.get(type_url, {}))

    async def end(self) -> StreamEnded:
        """Wait for the end of the stream."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._ended is not None)
        assert self._ended is not None
        return self._ended

    def _has(self, type_url: str, name: str, version: str | None) -> bool:
        held = self.versions.get(type_url, {}).get(name)
        return held is not None and version in (None, held)

    # The two loops

    async def write(self) -> None:
        """Send what is queued until the stream ends."""
        try:
            while True:
                request = await self._outbox.get()
                await self._call.write(request.SerializeToString())
        except (aio.AioRpcError, asyncio.InvalidStateError, aio.UsageError):
            return  # the reader reports how the stream ended

    async def read(self) -> None:
        """Receive, keep and answer until the stream ends."""
        with suppress(aio.AioRpcError):
            while isinstance(data := await self._call.read(), bytes):
                self.bytes_received += len(data)
                self.pushes_received += 1
                self._take(self._decode(data))
                async with self._changed:
                    self._changed.notify_all()
        ended = await self._status
        async with self._changed:
            self._ended = ended
            self._changed.notify_all()

    def _decode(self, data: bytes) -> Received:
        if self._delta:
            delta = discovery_pb2.DeltaDiscoveryResponse.FromString(data)
            return Received(
                type_url=delta.type_url,
                nonce=delta.nonce,
                versions={resource.name: resource.version for resource in delta.resources},
                removed=tuple(delta.removed_resources),
                messages={r.name: unpack(r.resource) for r in delta.resources} if self._follow else {},
                size=len(data),
            )
        sotw = discovery_pb2.DiscoveryResponse.FromString(data)
        messages = {_name_of(message): message for message in map(unpack, sotw.resources)}
        return Received(
            type_url=sotw.type_url,
            nonce=sotw.nonce,
            versions=dict.fromkeys(messages, sotw.version_info),
            removed=self._missing(sotw.type_url, messages),
            messages=messages,
            size=len(data),
        )

    def _missing(self, type_url: str, messages: Mapping[str, Message]) -> tuple[str, ...]:
        if type_url not in (CLUSTER, LISTENER):
            return ()
        return tuple(sorted(self.versions.get(type_url, {}).keys() - messages.keys()))

    def _take(self, received: Received) -> None:
        self._nonces[received.type_url] = received.nonce
        if self._follow:
            self.received.append(received)
        error = self.reject(received)
        if error is None:
            self._keep(received)
        if received.type_url not in self.silent_types:
            self._ask(received.type_url, nonce=received.nonce, error=error)
        if error is None and self._follow:
            self._learn_names(received.type_url)

    def _keep(self, received: Received) -> None:
        versions = self.versions.setdefault(received.type_url, {})
        messages = self.messages.setdefault(received.type_url, {})
        versions.update(received.versions)
        messages.update(received.messages)
        for name in received.removed:
            versions.pop(name, None)
            messages.pop(name, None)
        if received.versions and not self._delta:
            self._sotw_versions[received.type_url] = next(iter(received.versions.values()))

    def _learn_names(self, type_url: str) -> None:
        if type_url not in (CLUSTER, LISTENER):
            return
        wanted: dict[str, set[str]] = {}
        for message in (*self.messages.get(CLUSTER, {}).values(), *self.messages.get(LISTENER, {}).values()):
            for reference in references(message):
                wanted.setdefault(reference[0], set()).add(reference[1])
        for learned in sorted(wanted.keys() | self.names.keys() - {CLUSTER, LISTENER}):
            now, before = wanted.get(learned, set()), self.names.get(learned, set())
            if before - now:
                self.unsubscribe(learned, before - now)
            if now - before:
                self.subscribe(learned, now - before)

    def _ask(
        self,
        type_url: str,
        *,
        subscribe: Iterable[str] = (),
        unsubscribe: Iterable[str] = (),
        nonce: str = "",
        error: str | None = None,
    ) -> None:
        request: discovery_pb2.DeltaDiscoveryRequest | discovery_pb2.DiscoveryRequest
        if self._delta:
            is_first = type_url not in self._nonces
            request = discovery_pb2.DeltaDiscoveryRequest(
                type_url=type_url,
                resource_names_subscribe=list(subscribe),
                resource_names_unsubscribe=list(unsubscribe),
                response_nonce=nonce,
                initial_resource_versions=self._initial_versions.get(type_url, {}) if is_first else {},
            )
            self._nonces.setdefault(type_url, "")
        else:
            request = discovery_pb2.DiscoveryRequest(
                type_url=type_url,
                resource_names=sorted(self.names.get(type_url, ())),
                response_nonce=self._nonces.get(type_url, ""),
                version_info=self._sotw_versions.get(type_url, ""),
            )
        request.node.id = self._node_id
        if error is not None:
            request.error_detail.code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
            request.error_detail.message = error
        self._outbox.put_nowait(request)


@asynccontextmanager
async def ads_client(
    target: str,
    *,
    node_id: str = "test",
    identity: ClientIdentity | None = None,
    delta: bool = True,
    follow: bool = True,
    subscribe: Mapping[str, Iterable[str]] | None = None,
    initial_versions: Versions | None = None,
) -> AsyncIterator[AdsClient]:
    """Open one stream to `host:port` and serve it in the background for the length of the block.

    `subscribe` (type URL → names; no names means all) replaces the first requests, which otherwise ask for all
    clusters and listeners. `initial_versions` is what an earlier client held (its `versions`).
    """
    first = {CLUSTER: (), LISTENER: ()} if subscribe is None else subscribe
    async with channel(target, identity) as connection, asyncio.TaskGroup() as tasks:
        method = DELTA_METHOD if delta else SOTW_METHOD
        call = connection.stream_stream(method, None, None)(None)  # bytes in, bytes out
        client = AdsClient(call, node_id=node_id, delta=delta, follow=follow, initial_versions=initial_versions or {})
        for type_url, names in first.items():
            client.subscribe(type_url, names)
        loops = (tasks.create_task(client.write()), tasks.create_task(client.read()))
        try:
            yield client
        finally:
            call.cancel()
            for loop in loops:
                loop.cancel()


def channel(target: str, identity: ClientIdentity | None) -> aio.Channel:
    options: list[tuple[str, str | int]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),  # a connection for each client, as proxies have
        ("grpc.experimental.tcp_read_chunk_size", 1024),
    ]
    if identity is None:
        return aio.insecure_channel(target, options=options)
    options.append(("grpc.ssl_target_name_override", identity.server_name))
    credentials = grpc.ssl_channel_credentials(identity.roots_pem, identity.key_pem, identity.chain_pem)
    return aio.secure_channel(target, credentials, options=options)


def _accept_all(_received: Received) -> str | None:
    return None


def _name_of(message: Message) -> str:
    name = getattr(message, "cluster_name", "") or getattr(message, "name", "")
    return str(name)
