"""Callers from outside the mesh that are served TLS at a container port, beside the chains for the mesh's own.

One entrance for each server name (SNI), with rules of its own: of several names the longest match is chosen, by Envoy
as here, so a caller is judged by the policies that list the name it calls. A mesh's sidecar that calls a service is
told by its ALPN and never gets here; whoever else shows the certificate of a workload is a caller like any other, and
is let in by name alone.

Where entries of one name disagree, the certificate is asked for, and who would not be asked is not let in: the catalog
has told the user of it, and two chains that match the same would spoil the listener for everybody.
"""

from collections.abc import Iterable

from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from msgspec import Struct

from osm.contracts.catalog import TlsIngress
from osm.contracts.endpoints import Protocol
from osm.contracts.names import ObjectRef, Port
from services.xds.translate.access import HTTP_FILTER, per_route, tls_ingress_rules
from services.xds.translate.authorization import authorization
from services.xds.translate.filters import inbound_http
from services.xds.translate.inbound import Served
from services.xds.translate.messages import packed
from services.xds.translate.model import Built, View
from services.xds.translate.request_match import ANY_REQUEST, route_match
from services.xds.translate.route import configuration, inbound_host, plain_route
from services.xds.translate.tls import MeshTls, outside_tls

ANY_HOST = ""


class TlsEntrance(Struct, frozen=True, kw_only=True):
    """One container port under one server name, which may be `ANY_HOST`; `entries` is never empty.

    `services`: names of services whose callers from outside are this entrance's. They have to be said: the mesh's own
    chains match these names, and Envoy does not go back from a name to a shorter match.
    """

    target_port: Port
    host: str
    services: tuple[str, ...]
    local_name: str
    protocol: Protocol
    entries: tuple[TlsIngress, ...]

    @property
    def name(self) -> str:
        return f"ingress.{self.target_port}.tls{f'.{self.host}' if self.host else ''}"

    @property
    def routes_name(self) -> str:
        return f"rds-{self.name}"

    @property
    def any_client(self) -> bool:
        return all(entry.any_client for entry in self.entries)

    @property
    def origins(self) -> tuple[ObjectRef, ...]:
        return tuple(sorted({entry.origin for entry in self.entries}))


def tls_entrances(serves: tuple[Served, ...], view: View) -> tuple[TlsEntrance, ...]:
    """By container port and server name."""
    ports = sorted({it.backed.target_port for it in serves})
    return tuple(
        entrance
        for port in ports
        for entrance in _at_port(port, [it for it in serves if it.backed.target_port == port], view)
    )


def _at_port(port: Port, serves: list[Served], view: View) -> Iterable[TlsEntrance]:
    found = {
        entry
        for it in serves
        if (service := view.services.get(it.backed.service)) is not None
        for entry in service.tls_ingress
        if entry.target_port == port
    }
    by_host: dict[str, set[TlsIngress]] = {}
    for entry in found:
        for host in entry.hosts or (ANY_HOST,):
            by_host.setdefault(host, set()).add(entry)
    names = sorted({it.backed.service.fqdn for it in serves} - by_host.keys())
    for host, entries in sorted(by_host.items()):
        yield TlsEntrance(
            target_port=port,
            host=host,
            services=tuple(name for name in names if _chosen(name, by_host) == host),
            local_name=serves[0].local_name,
            protocol=serves[0].backed.protocol,
            entries=tuple(sorted(entries)),
        )


def _chosen(name: str, hosts: Iterable[str]) -> str | None:
    """Whose a server name is that none of `hosts` is: the longest pattern's, else any host's, if there is one."""
    covering = [host for host in hosts if host == ANY_HOST or (host.startswith("*.") and name.endswith(host[1:]))]
    return max(covering, key=len, default=None)


def tls_ingress_chains(
    entrance: TlsEntrance, mesh_tls: MeshTls, view: View, *, by_destination: bool
) -> Iterable[FilterChain]:
    """`by_destination` where one listener takes all container ports. Two for any host, which cannot be said together
    with names."""
    named = ([entrance.host] if entrance.host else []) + [*entrance.services]
    if entrance.host == ANY_HOST:
        yield _chain(entrance, entrance.name, [], mesh_tls, view, by_destination=by_destination)
    if named:
        name = entrance.name if entrance.host else f"{entrance.name}.services"
        yield _chain(entrance, name, named, mesh_tls, view, by_destination=by_destination)


def _chain(
    entrance: TlsEntrance, name: str, hosts: list[str], mesh_tls: MeshTls, view: View, *, by_destination: bool
) -> FilterChain:
    chain_match = FilterChainMatch(server_names=hosts, transport_protocol="tls")
    if by_destination:
        chain_match.destination_port.value = entrance.target_port
    stat_prefix = f"ingress.{entrance.target_port}.tls"
    return FilterChain(
        name=name,
        filter_chain_match=chain_match,
        filters=[
            inbound_http(
                stat_prefix, entrance.routes_name, view.mesh.tracing, authorization(view.mesh, entrance.protocol)
            )
        ],
        transport_socket=outside_tls(mesh_tls, any_client=entrance.any_client, alpn=_alpn(entrance)),
    )


def _alpn(entrance: TlsEntrance) -> tuple[str, ...]:
    """gRPC insists that HTTP/2 is agreed on. To others nothing is agreed to: a client that offers both would choose
    HTTP/2, which goes on to the app as it came, and most apps do not speak it in the clear."""
    return ("h2",) if entrance.protocol == "grpc" else ()


def tls_ingress_routes(entrance: TlsEntrance) -> Built:
    asked = [entry for entry in entrance.entries if entry.any_client == entrance.any_client]
    host = inbound_host(entrance.name, [plain_route(route_match(ANY_REQUEST), entrance.local_name)])
    host.typed_per_filter_config[HTTP_FILTER].CopyFrom(packed(per_route(tls_ingress_rules(asked))))
    return Built(
        name=entrance.routes_name,
        message=configuration(entrance.routes_name, [host]),
        origins=entrance.origins,
    )
