"""Where every sidecar offers a service port to its own app: one port number a service port, mesh-wide.

Apart from both services that need it: `endpoints` publishes the numbers, `local` tells them to the apps before
they start. They agree because each computes this function from the same Services. Pure.
"""

import hashlib
from collections.abc import Iterable, Mapping

from msgspec import Struct

from osm.contracts.names import ObjectRef
from osm.manifests.workloads import Service

FIRST = 20000
LAST = 31999
"""Below the kernel's ephemeral ports (32768 and up), above what people choose by hand."""

ServicePort = tuple[str, str, int]
"""Namespace, service, port."""


class TooManyPorts(Exception):
    """More service ports than there are numbers."""


def explicit_ports(ports: Iterable[ServicePort]) -> Mapping[ServicePort, int]:
    """A number for each service port: its hash, or the next free number if another's hash is the same.

    Probing goes in sorted order, so equal sets give equal numbers; a new service moves another's number only if
    it sorts before it and they collide (one pair in some 150 service ports). Raises TooManyPorts.
    """
    wanted = sorted(set(ports))
    size = LAST - FIRST + 1
    if len(wanted) > size:
        raise TooManyPorts(f"{len(wanted)} service ports, and {size} numbers from {FIRST} to {LAST} to offer them on")
    given: dict[ServicePort, int] = {}
    taken: set[int] = set()
    for port in wanted:
        slot = _hash(port) % size
        while slot in taken:
            slot = (slot + 1) % size
        taken.add(slot)
        given[port] = FIRST + slot
    return given


def offered(objects: Mapping[ObjectRef, Struct]) -> Mapping[ServicePort, int]:
    """A number for each port of every Service in force, usable or not, so that all readers count the same ones."""
    return explicit_ports(
        (ref.namespace, ref.name, port.port)
        for ref, each in objects.items()
        if isinstance(each, Service)
        for port in each.spec.ports
    )


def variable(port: ServicePort) -> str:
    """The name of the variable that tells an app where the service port is offered to it."""
    namespace, service, number = port
    return f"OSM_UPSTREAM_{namespace}_{service}_{number}".replace("-", "_").upper()


def _hash(port: ServicePort) -> int:
    return int.from_bytes(hashlib.sha256("/".join(map(str, port)).encode()).digest()[:8])
