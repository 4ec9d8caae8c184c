"""The yardstick: what gRPC itself costs for a push and its answer, over the same mutual TLS, with the same proxies.

    python -m bench.echo FOLDER BYTES

A bare `grpc.aio` server: one coroutine a stream, which writes a ready-made response and reads one answer. No mesh, no
protocol, no decoding. Nothing written in Python over this library can be cheaper.
"""

import asyncio
import gc
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import uvloop
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse, Resource
from grpc import aio

from bench.child import answer_asks, say
from bench.client_certificates import load
from bench.mesh import PAUSE_S, WARM_UP, Connected, Samples, Serving, rss_bytes
from bench.proxy import encoded
from osm.ads.credentials import ServerIdentity, mutual_tls
from osm.ads.server import FRUGAL
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Echo:
    """All streams wait for one event; the last to be answered ends the round."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._go = asyncio.Event()
        self._done = asyncio.Event()
        self._streams = 0
        self._answers = 0
        self._answered_s = 0.0

    async def serve(self, _requests: object, context: Any) -> None:
        for type_url in (CLUSTER, LISTENER):
            await context.read()
            await context.write(encoded(DeltaDiscoveryResponse(type_url=type_url, nonce="1")))
        for _ in (CLUSTER, LISTENER):
            await context.read()
        self._streams += 1
        while True:
            await self._go.wait()
            await context.write(self._payload)
            await context.read()
            self._count()

    def _count(self) -> None:
        self._answers += 1
        if self._answers == self._streams:
            self._answered_s = time.monotonic()
            self._done.set()

    async def connected(self, _rounds: int) -> Connected:
        return Connected(
            answered_s=time.monotonic(), pushes=0, bytes=0, cpu_s=time.process_time(), rss_bytes=rss_bytes()
        )

    async def push(self, rounds: int) -> Samples:
        for _ in range(WARM_UP):
            await self._round()
        cpu_s = time.process_time()
        answered = []
        for _ in range(rounds):
            answered.append(await self._round())
            await asyncio.sleep(PAUSE_S)
        pushes = rounds * self._streams
        return Samples(
            given_s=(0.0,) * rounds,
            answered_s=tuple(answered),
            pushes=pushes,
            bytes=pushes * len(self._payload),
            cpu_s=time.process_time() - cpu_s,
            rss_bytes=rss_bytes(),
        )

    async def _round(self) -> float:
        self._answers = 0
        self._done.clear()
        began_s = time.monotonic()
        self._go.set()
        self._go.clear()  # who waited is woken all the same
        await self._done.wait()
        return self._answered_s - began_s


def payload(size: int) -> bytes:
    """A response that clients take for a load assignment, of about so many bytes."""
    resource = Resource(name="echo", version="1")
    resource.resource.value = b"x" * max(0, size - 130)
    return encoded(DeltaDiscoveryResponse(type_url=ENDPOINT, nonce="1", resources=[resource]))


async def run(folder: Path, size: int) -> None:
    passports = load(folder)
    identity = ServerIdentity(
        chain_pem=passports.server.chain_pem.encode(),
        key_pem=passports.server.key_pem.encode(),
        client_roots_pem=passports.roots_pem.encode(),
    )
    echo = Echo(payload(size))
    server = aio.server(options=[("grpc.so_reuseport", 0), *FRUGAL])
    handler = grpc.stream_stream_rpc_method_handler(echo.serve)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, {"DeltaAggregatedResources": handler}),)
    )
    port = server.add_secure_port("127.0.0.1:0", mutual_tls(lambda: identity))
    await server.start()
    say(Serving(target=f"127.0.0.1:{port}", rss_bytes=rss_bytes()))
    await answer_asks({"connected": echo.connected, "push": echo.push})
    await server.stop(0)


if __name__ == "__main__":
    gc.disable()  # the least that gRPC costs
    uvloop.run(run(Path(sys.argv[1]), int(sys.argv[2])))
