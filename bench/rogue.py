"""A process that plays one proxy as no proxy should be, with the last certificate of the folder.

    python -m bench.rogue FOLDER TARGET silent|nacks

`silent` asks for everything and never reads an answer; `nacks` rejects whatever it is sent, naming nobody.
"""

import asyncio
import sys
from pathlib import Path

from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from grpc import aio

from bench.child import answer_asks, say
from bench.clients import Cpu
from bench.passports import load
from bench.proxy import encoded
from osm.ads.types import CLUSTER, LISTENER
from osm.testing.ads_client import DELTA_METHOD, ClientIdentity, channel

Call = aio.StreamStreamCall[bytes, bytes]


async def run(folder: Path, target: str, kind: str) -> None:
    passports = load(folder)
    own = passports.proxies[-1]
    identity = ClientIdentity(
        chain_pem=own.chain_pem.encode(),
        key_pem=own.key_pem.encode(),
        roots_pem=passports.roots_pem.encode(),
        server_name=passports.server_name,
    )
    async with channel(target, identity) as connection, asyncio.TaskGroup() as tasks:
        call: Call = connection.stream_stream(DELTA_METHOD, None, None)(None)
        for type_url in (CLUSTER, LISTENER):
            request = DeltaDiscoveryRequest(type_url=type_url)
            request.node.id = own.name
            await call.write(encoded(request))
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
