"""The process that plays Istio's proxies: `bench.clients` in Istio's words, which notes itself when it acknowledged.

    python -m bench.peers.sidecars FOLDER TARGET STREAMS A_SECOND

A stock istiod does not tell when the last answer came, so it is taken where the answer is sent: a little early, in
Istio's favour. Secrets are not asked for, since Istio's proxies get them from the agent beside them. So many connect
in each second (0: all at once), since Istio refuses those above its limit.
"""

import asyncio
import gc
import sys
import time
from pathlib import Path

import uvloop
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from grpc import aio
from msgspec import Struct

from bench.child import answer_asks, say
from bench.clients import Configured, Cpu
from bench.passports import Passports, load
from bench.peers.istio_config import moved_address
from bench.proxy import Proxy, acknowledgement, encoded
from bench.world import NAMESPACE, World
from osm.ads.types import CLUSTER, LISTENER, SECRET
from osm.testing.ads_client import DELTA_METHOD, channel


class Received(Struct, frozen=True, kw_only=True):
    """By all streams together, so far."""

    pushes: int
    bytes: int


class Answered(Struct, frozen=True, kw_only=True):
    """Every stream has acknowledged the move; monotonic seconds of the last one."""

    answered_s: float
    pushes: int
    bytes: int


class Tally:
    """What all streams together have received."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.pushes = 0
        self.bytes = 0
        self._needle = b"\0"  # no address has one
        self._open = 0
        self._answered_s = 0.0
        self._all = asyncio.Event()

    def took(self, data: bytes) -> None:
        """A response was received and acknowledged."""
        self.pushes += 1
        self.bytes += len(data)
        if self._needle in data and self._open:
            self._open -= 1
            if not self._open:
                self._answered_s = time.monotonic()
                self._all.set()

    async def received(self, _rounds: int) -> Received:
        return Received(pushes=self.pushes, bytes=self.bytes)

    async def arm(self, moves: int) -> Received:
        """From now on acknowledgements of that move are counted."""
        self._needle, self._open = moved_address(self._world, moves).encode(), self._world.streams
        self._all.clear()
        return Received(pushes=self.pushes, bytes=self.bytes)

    async def answered(self, _rounds: int) -> Answered:
        await self._all.wait()
        return Answered(answered_s=self._answered_s, pushes=self.pushes, bytes=self.bytes)


class Sidecar(Proxy):
    """A proxy that says who it is as Istio's do."""

    def __init__(self, target: str, number: int, world: World, passports: Passports, tally: Tally) -> None:
        super().__init__(target, passports.proxies[number], passports)
        self._address = f"10.250.{number // 256}.{number % 256}"
        self._account = world.identity(number).account
        self._tally = tally
        self._asked |= {(SECRET, "default"), (SECRET, "ROOTCA")}

    async def run(self) -> None:
        """Raises grpc.aio.AioRpcError when the server ends the stream with an error."""
        async with channel(self._target, self._identity) as connection:
            call: aio.StreamStreamCall[bytes, bytes] = connection.stream_stream(DELTA_METHOD, None, None)(None)
            await call.write(self._first(CLUSTER))
            await call.write(self._first(LISTENER))
            while isinstance(data := await call.read(), bytes):
                response = DeltaDiscoveryResponse.FromString(data)
                await call.write(acknowledgement(response.type_url, response.nonce))
                self._tally.took(data)
                if not self.configured.is_set():
                    for request in self._learn(response):
                        await call.write(request)
                    if not self._awaited:
                        self.configured.set()

    def _first(self, type_url: str) -> bytes:
        request = DeltaDiscoveryRequest(type_url=type_url)
        request.node.id = f"sidecar~{self._address}~{self._name}~{NAMESPACE}.svc.cluster.local"
        request.node.metadata.update(
            {"NAMESPACE": NAMESPACE, "SERVICE_ACCOUNT": self._account, "CLUSTER_ID": "Kubernetes"}
        )
        return encoded(request)


async def run(folder: Path, target: str, streams: int, a_second: int) -> None:
    world = World(streams=streams)
    tally = Tally(world)
    passports = load(folder)
    sidecars = [Sidecar(target, number, world, passports, tally) for number in range(streams)]
    async with asyncio.TaskGroup() as tasks:
        began_s = time.monotonic()
        running = []
        for sidecar in sidecars:
            running.append(tasks.create_task(sidecar.run()))
            if a_second:
                await asyncio.sleep(1 / a_second)
        for sidecar in sidecars:
            await sidecar.configured.wait()
        say(Configured(began_s=began_s, done_s=time.monotonic()))
        await answer_asks({"cpu": _cpu, "received": tally.received, "arm": tally.arm, "answered": tally.answered})
        for task in running:
            task.cancel()


async def _cpu(_rounds: int) -> Cpu:
    return Cpu(cpu_s=time.process_time())


if __name__ == "__main__":
    gc.disable()  # as bench.clients does
    uvloop.run(run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
