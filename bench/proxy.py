"""One proxy of the benchmark: the least an Envoy says on a delta stream, from one coroutine.

`osm.testing.ads_client` keeps what it receives, for tests; this one keeps which names it still waits for, and
acknowledges. What a resource refers to is looked up once for all proxies of the process.
"""

import asyncio
import random
from collections.abc import Iterable
from functools import lru_cache

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.message import Message
from grpc import aio

from bench.client_certificates import Passport, Passports
from osm.ads.types import CLUSTER, LISTENER
from osm.testing.ads_client import DELTA_METHOD, ClientIdentity, channel
from osm.testing.ads_references import references, unpack

Name = tuple[str, str]
"""Type URL and name of a resource."""

AT_FIRST: tuple[Name, ...] = ((CLUSTER, ""), (LISTENER, ""))
"""Whole types, whose names are not known before."""

COMES_BACK_AFTER_S = (0.5, 1.5)
"""Envoy's first pauses, from its default backoff."""


class Proxy:
    """`run` until cancelled. `configured` is set once everything that was referred to has arrived."""

    def __init__(self, target: str, passport: Passport, passports: Passports) -> None:
        self._target = target
        self._name = passport.name
        self._identity = ClientIdentity(
            chain_pem=passport.chain_pem.encode(),
            key_pem=passport.key_pem.encode(),
            roots_pem=passports.roots_pem.encode(),
            server_name=passports.server_name,
        )
        self._awaited: set[Name] = {*AT_FIRST}
        self._asked: set[Name] = set()
        self.configured = asyncio.Event()

    async def run(self) -> None:
        """Raises grpc.aio.AioRpcError when the server ends the stream of a configured proxy with an error.

        One that could not be admitted comes back, as Envoy does: thousands of handshakes at once may take too long.
        """
        while True:
            try:
                return await self._converse()
            except aio.AioRpcError:
                if self.configured.is_set():
                    raise
            self._awaited, self._asked = {*AT_FIRST}, set()
            await asyncio.sleep(random.uniform(*COMES_BACK_AFTER_S))  # spreads load, hides nothing

    async def _converse(self) -> None:
        async with channel(self._target, self._identity) as connection:
            call: aio.StreamStreamCall[bytes, bytes] = connection.stream_stream(DELTA_METHOD, None, None)(None)
            await call.write(self._first(CLUSTER))
            await call.write(self._first(LISTENER))
            while isinstance(data := await call.read(), bytes):
                response = DeltaDiscoveryResponse.FromString(data)
                await call.write(acknowledgement(response.type_url, response.nonce))
                if not self.configured.is_set():
                    for request in self._learn(response):
                        await call.write(request)
                    if not self._awaited:
                        self.configured.set()

    def _first(self, type_url: str) -> bytes:
        request = DeltaDiscoveryRequest(type_url=type_url)
        request.node.id = self._name
        return encoded(request)

    def _learn(self, response: DeltaDiscoveryResponse) -> Iterable[bytes]:
        """What came is awaited no longer; what it refers to is, and asked for."""
        self._awaited.discard((response.type_url, ""))
        self._awaited.difference_update((response.type_url, one.name) for one in response.resources)
        wanted: dict[str, list[str]] = {}
        if response.type_url in (CLUSTER, LISTENER):
            for resource in response.resources:
                for name in references_of(resource.resource.SerializeToString()):
                    if name not in self._asked:
                        self._asked.add(name)
                        wanted.setdefault(name[0], []).append(name[1])
        self._awaited.update((type_url, name) for type_url, names in wanted.items() for name in names)
        for type_url, names in sorted(wanted.items()):
            yield encoded(DeltaDiscoveryRequest(type_url=type_url, resource_names_subscribe=names))


def acknowledgement(type_url: str, nonce: str) -> bytes:
    return encoded(DeltaDiscoveryRequest(type_url=type_url, response_nonce=nonce))


def encoded(message: Message) -> bytes:
    return message.SerializeToString()


@lru_cache(maxsize=10_000)
def references_of(packed: bytes) -> tuple[Name, ...]:
    """Sorted."""
    return tuple(sorted(set(references(unpack(PackedAny.FromString(packed))))))
