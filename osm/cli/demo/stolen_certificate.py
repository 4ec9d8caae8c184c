"""The thief's own mesh certificate, taken from its sidecar's stream as an intruder on its machine would.

The sidecar's certificate for xds lies in the run folder, readable by its user; with it, xds hands out the workload's
leaf and key as it does to the Envoy. That is the strongest certificate a thief can have, and it must not be enough.
"""

import asyncio
import json
from pathlib import Path

from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from osm.ads.types import SECRET
from osm.cli.demo.direct_request import Credential
from osm.testing.ads_client import ClientIdentity, ads_client
from services.xds.app import SERVER_NAME
from services.xds.translate import LEAF

_TIMEOUT_S = 15.0


def shown_to_xds(workload: Path) -> Credential:
    """The certificate that a sidecar shows to xds, from the SDS file in its workload's folder."""
    certificate = json.loads((workload / "certificate.json").read_text())["resources"][0]["tls_certificate"]
    return Credential(
        chain_pem=certificate["certificate_chain"]["inline_string"].encode(),
        key_pem=certificate["private_key"]["inline_string"].encode(),
    )


async def steal(xds: str, proxy_id: str, workload: Path, roots_pem: bytes) -> Credential:
    """Ask xds for the proxy's leaf with its certificate in its workload's folder."""
    shown = shown_to_xds(workload)
    proof = ClientIdentity(
        chain_pem=shown.chain_pem,
        key_pem=shown.key_pem,
        roots_pem=roots_pem,
        server_name=SERVER_NAME,
    )
    async with asyncio.timeout(_TIMEOUT_S):
        async with ads_client(xds, node_id=proxy_id, identity=proof, subscribe={SECRET: (LEAF,)}) as client:
            await client.version(SECRET, LEAF)
            secret = client.messages[SECRET][LEAF]
    assert isinstance(secret, Secret), "the type URL says so"
    leaf = secret.tls_certificate
    return Credential(
        chain_pem=leaf.certificate_chain.inline_string.encode(), key_pem=leaf.private_key.inline_string.encode()
    )
