"""A process that plays one proxy as no proxy should be, with the last certificate of the folder.

    python -m bench.misbehaving_proxy FOLDER TARGET silent|nacks

`silent` asks for everything and never reads an answer; `nacks` rejects whatever it is sent, naming nobody.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from grpc import aio

from bench.child import answer_asks, say
from bench.client_certificates import Passport, Passports, load
from bench.proxies import Cpu
from bench.proxy import encoded
from osm.ads.types import CLUSTER, LISTENER
from osm.testing.ads_client import DELTA_METHOD, ClientIdentity, channel

Call = aio.StreamStreamCall[bytes, bytes]


@asynccontextmanager
async def connected(target: str, passport: Passport, passports: Passports) -> AsyncIterator[Call]:
    """A stream that has asked for everything, and of which nothing has been read."""
    identity = ClientIdentity(
        chain_pem=passport.chain_pem.encode(),
        key_pem=passport.key_pem.encode(),
        roots_pem=passports.roots_pem.encode(),
        server_name=passports.server_name,
    )
    async with channel(target, identity) as connection:
        call: Call = connection.stream_stream(DELTA_METHOD, None, None)(None)
        for type_url in (CLUSTER, LISTENER):
            request = DeltaDiscoveryRequest(type_url=type_url)
            request.node.id = passport.name
            await call.write(encoded(request))
        yield call


async def run(folder: Path, target: str, kind: str) -> None:
    passports = load(folder)
    async with connected(target, passports.proxies[-1], passports) as call, asyncio.TaskGroup() as tasks:
        rejecting = tasks.create_task(_reject(call)) if kind == "nacks" else None
        say(Cpu(cpu_s=0.0))
        await answer_asks({})
        if rejecting is not None:
            rejecting.cancel()


async def _reject(call: Call) -> None:
    while isinstance(data := await call.read(), bytes):
        response = DeltaDiscoveryResponse.FromString(data)
        request = DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        request.error_detail.message = "rejected, as everything is"
        await call.write(encoded(request))


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
