"""Which ways out of the mesh the Egress policies of a proxy's identity leave it: the deciding part.

Policies add up. What comes of them is told by port, since that is how Envoy tells connections apart first, and then
by the narrowest address range. Envoy does not go back from there: a connection to an address in a range sees the rules
of that range alone. So each range is given what every wider one grants as well.

Only IPv4: nothing else is redirected to a sidecar.
"""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, ip_network

from msgspec import Struct

from osm.contracts.catalog import Policy
from osm.contracts.egress import EgressHost, HttpEgress, TcpEgress, TlsEgress
from osm.contracts.names import ObjectRef, Port
from osm.contracts.policy import HttpMatch
from services.xds.translate.model import View

ANYWHERE = IPv4Network("0.0.0.0/0")


class HttpHost(Struct, frozen=True, kw_only=True):
    """Requests to a host at a port that match any of `matches`; `tunnel`: TLS to it, asked for by CONNECT, too."""

    host: EgressHost
    port: Port
    matches: tuple[HttpMatch, ...]
    tunnel: bool
    origins: tuple[ObjectRef, ...]


class Gate(Struct, frozen=True, kw_only=True):
    """What else may leave at a port to the addresses in `range`, but for those of a narrower gate.

    `anything`, or TLS by the server name that it asks for: to the address that the app has dialled, or to the one that
    the name has in the DNS. A name is in one of the two.
    """

    port: Port
    range: str = str(ANYWHERE)
    anything: bool = False
    as_dialled: tuple[EgressHost, ...] = ()
    by_name: tuple[EgressHost, ...] = ()


class WaysOut(Struct, frozen=True, kw_only=True):
    """All of them, sorted; `origins` are the policies that the gates are made of."""

    hosts: tuple[HttpHost, ...] = ()
    gates: tuple[Gate, ...] = ()
    origins: tuple[ObjectRef, ...] = ()

    def hosts_at(self, port: Port) -> tuple[HttpHost, ...]:
        return tuple(each for each in self.hosts if each.port == port)

    def gates_at(self, port: Port) -> tuple[Gate, ...]:
        return tuple(each for each in self.gates if each.port == port)


def ways_out(view: View, sidecars_own: Port) -> WaysOut:
    """Where traffic is redirected. None while the mesh lets everything out: then nobody is asked.

    `sidecars_own`: a port that leads back to the sidecar, for ever.
    """
    if view.mesh.egress or view.policy is None:
        return WaysOut()
    connections = [
        grant for grant in view.policy.egress if isinstance(grant, TlsEgress | TcpEgress) and grant.port != sidecars_own
    ]
    ports = sorted({grant.port for grant in connections})
    return WaysOut(
        hosts=tuple(each for each in _hosts(view.policy) if each.port != sidecars_own and each.matches),
        gates=tuple(
            gate for port in ports for gate in _gates(port, [grant for grant in connections if grant.port == port])
        ),
        origins=tuple(sorted({grant.origin for grant in connections})),
    )


def proxied_hosts(view: View) -> tuple[HttpHost, ...]:
    """Where apps ask their sidecar as a proxy: it goes to these and no others, whatever the mesh lets out elsewhere.

    A grant that is good for some addresses only is none here: the app has not dialled any.
    """
    return _hosts(view.policy) if view.policy is not None else ()


def _hosts(policy: Policy) -> tuple[HttpHost, ...]:
    matches: dict[tuple[EgressHost, Port], set[HttpMatch]] = {}
    tunnels: set[tuple[EgressHost, Port]] = set()
    origins: dict[tuple[EgressHost, Port], set[ObjectRef]] = {}
    for grant in policy.egress:
        if isinstance(grant, TcpEgress) or (isinstance(grant, TlsEgress) and grant.ranges):
            continue
        for place in ((host, grant.port) for host in grant.hosts):
            origins.setdefault(place, set()).add(grant.origin)
            if isinstance(grant, HttpEgress):
                matches.setdefault(place, set()).update(grant.matches)
            else:
                tunnels.add(place)
    return tuple(
        HttpHost(
            host=host,
            port=port,
            matches=tuple(sorted(matches.get((host, port), ()))),
            tunnel=(host, port) in tunnels,
            origins=tuple(sorted(origins[host, port])),
        )
        for host, port in sorted(origins)
    )


def _gates(port: Port, grants: Sequence[TlsEgress | TcpEgress]) -> Iterable[Gate]:
    for where in sorted({ANYWHERE, *(each for grant in grants for each in _networks(grant))}):
        here = [grant for grant in grants if any(where.subnet_of(each) for each in _networks(grant))]
        dialled = {host for grant in here if isinstance(grant, TlsEgress) and grant.ranges for host in grant.hosts}
        named = {host for grant in here if isinstance(grant, TlsEgress) and not grant.ranges for host in grant.hosts}
        if any(isinstance(grant, TcpEgress) for grant in here):
            yield Gate(port=port, range=str(where), anything=True)
        elif here:
            yield Gate(
                port=port,
                range=str(where),
                as_dialled=tuple(sorted(dialled)),
                by_name=tuple(sorted(named - dialled)),
            )


def _networks(grant: TlsEgress | TcpEgress) -> list[IPv4Network]:
    """Where a grant holds; no ranges: anywhere."""
    if not grant.ranges:
        return [ANYWHERE]
    return [network for each in grant.ranges if isinstance(network := ip_network(each, strict=False), IPv4Network)]
