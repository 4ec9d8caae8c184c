"""Callers from outside the mesh, as IngressBackends admit them: plain HTTP beside the chains for mesh TLS.

A container port has one entrance, whichever services lead to it: what arrives in the clear does not say which is
meant. Who may use it is a rule of its routes, so a caller whose address changes moves no listener.
"""

from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from msgspec import Struct

from osm.contracts.catalog import Ingress
from osm.contracts.names import Port
from services.xds.translate.access import HTTP_FILTER, ingress_rules, per_route
from services.xds.translate.filters import inbound_http
from services.xds.translate.inbound import Served
from services.xds.translate.messages import packed
from services.xds.translate.model import Built, View
from services.xds.translate.request_match import ANY_REQUEST, route_match
from services.xds.translate.route import configuration, inbound_host, plain_route


class Entrance(Struct, frozen=True, kw_only=True):
    """One container port that is open to callers from outside; `entries` is never empty."""

    target_port: Port
    local_name: str
    entries: tuple[Ingress, ...]

    @property
    def name(self) -> str:
        return f"ingress.{self.target_port}"

    @property
    def routes_name(self) -> str:
        return f"rds-ingress.{self.target_port}"


def entrances(serves: tuple[Served, ...], view: View) -> tuple[Entrance, ...]:
    """By container port."""
    local: dict[Port, str] = {}
    entries: dict[Port, set[Ingress]] = {}
    for it in serves:
        service, port = view.services.get(it.backed.service), it.backed.target_port
        found = {each for each in (service.ingress if service else ()) if each.target_port == port}
        if found:
            local.setdefault(port, it.local_name)
            entries.setdefault(port, set()).update(found)
    return tuple(
        Entrance(target_port=port, local_name=local[port], entries=tuple(sorted(entries[port])))
        for port in sorted(entries)
    )


def ingress_chain(entrance: Entrance, view: View, *, by_destination: bool) -> FilterChain:
    """For what is not TLS; `by_destination` where one listener takes all container ports."""
    chain_match = FilterChainMatch(transport_protocol="raw_buffer")
    if by_destination:
        chain_match.destination_port.value = entrance.target_port
    manager = inbound_http(entrance.name, entrance.routes_name, view.mesh.tracing)
    return FilterChain(name=entrance.name, filter_chain_match=chain_match, filters=[manager])


def ingress_routes(entrance: Entrance) -> Built:
    host = inbound_host(entrance.name, [plain_route(route_match(ANY_REQUEST), entrance.local_name)])
    host.typed_per_filter_config[HTTP_FILTER].CopyFrom(packed(per_route(ingress_rules(entrance.entries))))
    return Built(
        name=entrance.routes_name,
        message=configuration(entrance.routes_name, [host]),
        origins=tuple(sorted({entry.origin for entry in entrance.entries})),
    )
