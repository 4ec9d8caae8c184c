"""An address for each Service where no cluster gives one: the isolated mode's cluster IPs.

Apart from both services that need it: `endpoints` publishes the addresses, `local` writes them into the workloads'
hosts files. They agree because each computes this function from the same Services. Pure.
"""

import hashlib
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from msgspec import Struct

from osm.contracts.names import ObjectRef
from osm.manifests.workloads import Service

NETWORK = IPv4Network("10.78.0.0/16")
"""Nothing else is in the mesh's own network, so no other network of the machine can be in the way."""

ServiceKey = tuple[str, str]
"""Namespace and name."""


class TooManyServices(Exception):
    """More Services than there are addresses."""


def virtual_ips(services: Iterable[ServiceKey]) -> Mapping[ServiceKey, str]:
    """An address for each service: its hash, or the next free one if another's hash is the same.

    Probing goes in sorted order, so equal sets give equal addresses. Raises TooManyServices.
    """
    wanted = sorted(set(services))
    size = NETWORK.num_addresses - 2  # neither the network's own address nor that of all
    if len(wanted) > size:
        raise TooManyServices(f"{len(wanted)} Services, and {size} addresses in {NETWORK} for them")
    given: dict[ServiceKey, str] = {}
    taken: set[int] = set()
    for key in wanted:
        slot = int.from_bytes(hashlib.sha256("/".join(key).encode()).digest()[:8]) % size
        while slot in taken:
            slot = (slot + 1) % size
        taken.add(slot)
        given[key] = str(NETWORK[slot + 1])
    return given


def assigned(objects: Mapping[ObjectRef, Struct]) -> Mapping[ServiceKey, str]:
    """An address for every Service in force, usable or not, so that all readers count the same ones.

    A headless one has an address too: here it stands for all its workloads at once.
    """
    return virtual_ips((ref.namespace, ref.name) for ref, each in objects.items() if isinstance(each, Service))
