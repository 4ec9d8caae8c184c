"""What our xds serves, written down for others to serve: the same resources to the same groups of proxies.

One proxy of each identity connects, is configured and leaves. Equal resources of several groups are kept once.
"""

import asyncio
from pathlib import Path

import msgspec
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from msgspec import Struct

from bench.client_certificates import Passport, Passports, load
from bench.mesh import HUB
from bench.world import World
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER
from osm.pki.files import write_secret
from osm.testing.ads_client import AdsClient, ClientIdentity, ads_client

COMPLETE_WITHIN_S = 60.0


class Recorded(Struct, frozen=True, kw_only=True):
    """One resource."""

    type_url: str
    value: bytes


class Recording(Struct, frozen=True, kw_only=True):
    """`hub` names the load assignment that will change; groups are the numbers of their resources."""

    hub: str
    groups: tuple[tuple[int, ...], ...]
    resources: tuple[Recorded, ...]


async def record(folder: Path, target: str, world: World) -> None:
    """Write resources.json beside the passports. Raises TimeoutError, StreamEnded, ValueError."""
    passports = load(folder)
    groups = [await _held(target, passports, one) for one in passports.proxies[: world.identities]]
    found = recording(groups, f"{world.service_name(HUB).namespace}/{world.service_name(HUB).name}|")
    write_secret(folder / "resources.json", msgspec.json.encode(found))  # the proxies' keys are among them


def recording(groups: list[tuple[Recorded, ...]], hub: str) -> Recording:
    """`hub` is how the name of the one begins. Raises ValueError unless exactly one does."""
    numbers: dict[Recorded, int] = {}
    for group in groups:
        for resource in group:
            numbers.setdefault(resource, len(numbers))
    loads = (ClusterLoadAssignment.FromString(one.value) for one in numbers if one.type_url == ENDPOINT)
    found = [load.cluster_name for load in loads if load.cluster_name.startswith(hub)]
    if len(found) != 1:
        raise ValueError(f"expected one load assignment that begins with {hub}, found {found}")
    return Recording(
        hub=found[0],
        groups=tuple(tuple(numbers[resource] for resource in group) for group in groups),
        resources=tuple(numbers),
    )


async def _held(target: str, passports: Passports, passport: Passport) -> tuple[Recorded, ...]:
    """All that one proxy is configured with, sorted."""
    identity = ClientIdentity(
        chain_pem=passport.chain_pem.encode(),
        key_pem=passport.key_pem.encode(),
        roots_pem=passports.roots_pem.encode(),
        server_name=passports.server_name,
    )
    async with ads_client(target, node_id=passport.name, identity=identity) as client:
        async with asyncio.timeout(COMPLETE_WITHIN_S):
            await client.until(lambda: _complete(client))
        return tuple(
            Recorded(type_url=type_url, value=message.SerializeToString(deterministic=True))
            for type_url, messages in sorted(client.messages.items())
            for _, message in sorted(messages.items())
        )


def _complete(client: AdsClient) -> bool:
    """Both roots are there, and everything they refer to."""
    held = client.versions
    return all(held.get(root) for root in (CLUSTER, LISTENER)) and all(
        names <= held.get(type_url, {}).keys() for type_url, names in client.names.items()
    )
