"""Callers from outside the mesh, as IngressBackends admit them, beside the chains for mesh TLS.

In plain HTTP they are admitted here, over TLS in `ingress_tls`.

In plain HTTP a container port has one entrance, whichever services lead to it: what arrives in the clear does not say
which is meant. Who may use an entrance is a rule of its routes, so a caller whose address changes moves no listener.
"""

from collections.abc import Iterator

from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from msgspec import Struct

from osm.contracts.catalog import Ingress
from osm.contracts.endpoints import Protocol
from osm.contracts.names import ObjectRef, Port
from services.xds.translate.access import HTTP_FILTER, ingress_rules, per_route
from services.xds.translate.authorization import authorization, authorization_origins
from services.xds.translate.filters import inbound_http
from services.xds.translate.inbound import Served
from services.xds.translate.ingress_tls import tls_entrances, tls_ingress_chains, tls_ingress_routes
from services.xds.translate.messages import packed
from services.xds.translate.model import Built, View
from services.xds.translate.request_match import ANY_REQUEST, route_match
from services.xds.translate.route import configuration, inbound_host, plain_route
from services.xds.translate.tls import MeshTls


class Entrance(Struct, frozen=True, kw_only=True):
    """One container port that is open to callers from outside; `entries` is never empty."""

    target_port: Port
    local_name: str
    protocol: Protocol
    entries: tuple[Ingress, ...]

    @property
    def name(self) -> str:
        return f"ingress.{self.target_port}"

    @property
    def routes_name(self) -> str:
        return f"rds-ingress.{self.target_port}"


def entrances(serves: tuple[Served, ...], view: View) -> tuple[Entrance, ...]:
    """By container port."""
    first: dict[Port, Served] = {}
    entries: dict[Port, set[Ingress]] = {}
    for it in serves:
        service, port = view.services.get(it.backed.service), it.backed.target_port
        found = {each for each in (service.ingress if service else ()) if each.target_port == port}
        if found:
            first.setdefault(port, it)
            entries.setdefault(port, set()).update(found)
    return tuple(
        Entrance(
            target_port=port,
            local_name=first[port].local_name,
            protocol=first[port].backed.protocol,
            entries=tuple(sorted(entries[port])),
        )
        for port in sorted(entries)
    )


def ingress_chains(
    serves: tuple[Served, ...], mesh_tls: MeshTls, view: View, *, by_destination: bool
) -> Iterator[FilterChain]:
    """`by_destination` where one listener takes all container ports."""
    for plain in entrances(serves, view):
        yield _chain(plain, view, by_destination=by_destination)
    for tls in tls_entrances(serves, view):
        yield from tls_ingress_chains(tls, mesh_tls, view, by_destination=by_destination)


def ingress_origins(serves: tuple[Served, ...], view: View) -> set[ObjectRef]:
    """Whose words are in the chains themselves: server names and the authorizer. Who may call is in their routes."""
    names = {origin for tls in tls_entrances(serves, view) for origin in tls.origins}
    asked = authorization_origins(view.mesh) if names or entrances(serves, view) else ()
    return names.union(asked)


def ingress_routes(serves: tuple[Served, ...], view: View) -> tuple[Built, ...]:
    return (*map(_routes, entrances(serves, view)), *map(tls_ingress_routes, tls_entrances(serves, view)))


def _chain(entrance: Entrance, view: View, *, by_destination: bool) -> FilterChain:
    """For what is not TLS."""
    chain_match = FilterChainMatch(transport_protocol="raw_buffer")
    if by_destination:
        chain_match.destination_port.value = entrance.target_port
    manager = inbound_http(
        entrance.name, entrance.routes_name, view.mesh.tracing, authorization(view.mesh, entrance.protocol)
    )
    return FilterChain(name=entrance.name, filter_chain_match=chain_match, filters=[manager])


def _routes(entrance: Entrance) -> Built:
    host = inbound_host(entrance.name, [plain_route(route_match(ANY_REQUEST), entrance.local_name)])
    host.typed_per_filter_config[HTTP_FILTER].CopyFrom(packed(per_route(ingress_rules(entrance.entries))))
    return Built(
        name=entrance.routes_name,
        message=configuration(entrance.routes_name, [host]),
        origins=tuple(sorted({entry.origin for entry in entrance.entries})),
    )
