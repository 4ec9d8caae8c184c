"""Outbound chains for a port, whichever address an app dials: headless services and destinations outside of the mesh.

Both are found by the Host header, so at a port that both use they share a chain and its routes, the services first.
Where an Egress opens addresses at a port of a headless service, HTTP is told from the rest by its first bytes; what is
no request to the service goes on as dialled. Chains of services with addresses of their own are narrower than all this.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Network
from itertools import groupby

from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from msgspec import Struct

from osm.contracts.names import Port
from osm.contracts.policy import Mesh
from services.xds.translate.egress import ANYWHERE, Gate, WaysOut
from services.xds.translate.egress_chains import at, gate_chains, look_up, paths_matter
from services.xds.translate.filters import HTTP_AS_SEEN, outbound_http, plain_chain
from services.xds.translate.reach import Destination


class Door(Struct, frozen=True, kw_only=True):
    """A chain for HTTP at a port, for addresses in `range`.

    `as_seen`: for what is HTTP by its first bytes, and not for all there is. `onward`: an Egress opens these addresses
    to anything, so that a request to nobody in the mesh goes on as dialled.
    """

    port: Port
    range: IPv4Network = ANYWHERE
    as_seen: bool = False
    beside_tls: bool = False
    onward: bool = False

    @property
    def stat_prefix(self) -> str:
        return f"outbound.{self.port}"

    @property
    def name(self) -> str:
        return f"{self.stat_prefix}.{self.range}" if self.range.prefixlen else self.stat_prefix

    @property
    def routes_name(self) -> str:
        return f"rds-outbound.{self.port}{'.onward' if self.onward else ''}"


def doors(mesh: Mesh, reach: tuple[Destination, ...], ways: WaysOut) -> tuple[Door, ...]:
    """By port and range. None where anything may pass and nobody in the mesh is meant."""
    headless_ports = {port for port, _ in headless(reach)}
    tcp_ports = {to.port.port for to in reach if not to.http}
    found = []
    for port in sorted(headless_ports | {each.port for each in ways.hosts}):
        gates = {IPv4Network(gate.range): gate for gate in ways.gates_at(port)}
        for where in sorted({ANYWHERE, *gates}):
            gate = gates.get(where, Gate(port=port))
            if gate.anything and port not in headless_ports:
                continue
            found.append(
                Door(
                    port=port,
                    range=where,
                    as_seen=gate.anything or (mesh.egress and port not in tcp_ports),
                    beside_tls=bool(gate.as_dialled or gate.by_name),
                    onward=gate.anything,
                )
            )
    return tuple(found)


def shared_ports(found: Iterable[Door]) -> tuple[Port, ...]:
    """Ports of headless services at which something outside may speak no HTTP: a headless service of anyone's must not
    take the way to a database outside from everybody. What is no HTTP there leaves the mesh as from any other port.

    Unless an Egress asks for it, not a port at which a service of the mesh speaks TCP: to look costs a server that
    speaks first a wait. A change of these ports is one of the whole listener, whose connections then have Envoy's drain
    time to end.
    """
    return tuple(sorted({door.port for door in found if door.as_seen}))


def tls_ports(ways: WaysOut) -> tuple[Port, ...]:
    """Where a connection's first bytes are looked at for the server name it asks for."""
    return tuple(sorted({gate.port for gate in ways.gates if gate.as_dialled or gate.by_name}))


def port_chains(mesh: Mesh, found: Iterable[Door], ways: WaysOut) -> Iterable[FilterChain]:
    for door in found:
        yield _chain(door, mesh, ways)
    for gate in ways.gates:
        yield from gate_chains(gate)


def headless(reach: Iterable[Destination]) -> list[tuple[Port, tuple[Destination, ...]]]:
    """HTTP destinations without an address, by port."""
    found = sorted((to for to in reach if to.http and not to.virtual_ips), key=_port)
    return [(port, tuple(there)) for port, there in groupby(found, _port)]


def beside(ways: WaysOut, claimed: Collection[tuple[str, Port]]) -> WaysOut:
    """Without gates at the very address and port of a service: Envoy takes no match twice, and the service is meant."""
    gates = (gate for gate in ways.gates if (gate.range.removesuffix("/32"), gate.port) not in claimed)
    return WaysOut(hosts=ways.hosts, gates=tuple(gates), origins=ways.origins)


def _chain(door: Door, mesh: Mesh, ways: WaysOut) -> FilterChain:
    hosts = () if door.onward else ways.hosts_at(door.port)
    manager = outbound_http(
        door.stat_prefix,
        door.routes_name,
        mesh.tracing,
        filters=look_up(hosts),
        one_spelling_of_paths=paths_matter(hosts),
    )
    chain = plain_chain(door.name, manager)
    chain.filter_chain_match.CopyFrom(at(door.port, door.range))
    if door.as_seen:
        chain.filter_chain_match.application_protocols.extend(HTTP_AS_SEEN)
    if door.beside_tls:
        chain.filter_chain_match.transport_protocol = "raw_buffer"
    return chain


def _port(to: Destination) -> Port:
    return to.port.port
