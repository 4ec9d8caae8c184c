"""What an Envoy has, read from its config dump: the names of its parts and the addresses behind them. Pure.

Tolerant of all that is not asked here: a dump has hundreds of fields, and Envoy adds some with every version.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct


class Socket(Struct, frozen=True):
    """An address."""

    address: str = ""
    port_value: int = 0


class Address(Struct, frozen=True):
    """Where a listener or endpoint is; empty for what is no socket."""

    socket_address: Socket = Socket()


class Chain(Struct, frozen=True):
    """A listener's chain for some connections."""

    name: str = ""
    filter_chain_match: dict[str, Any] = {}


class Listener(Struct, frozen=True):
    """A listener as it is in force."""

    name: str = ""
    filter_chains: tuple[Chain, ...] = ()
    default_filter_chain: Chain | None = None


class Active(Struct, frozen=True):
    """What is in force of a listener."""

    listener: Listener = Listener()


class ErrorState(Struct, frozen=True):
    """Why a newer form is not in force."""

    details: str = ""


class DynamicListener(Struct, frozen=True):
    """A listener from xds."""

    name: str = ""
    active_state: Active | None = None
    error_state: ErrorState | None = None


class Cluster(Struct, frozen=True):
    """A cluster's name is all that is asked."""

    name: str = ""


class DynamicCluster(Struct, frozen=True):
    """A cluster from xds."""

    cluster: Cluster = Cluster()


class Endpoint(Struct, frozen=True):
    """One address behind a cluster."""

    address: Address = Address()


class LbEndpoint(Struct, frozen=True):
    """The same, one level up."""

    endpoint: Endpoint = Endpoint()


class Locality(Struct, frozen=True):
    """Endpoints of one place."""

    lb_endpoints: tuple[LbEndpoint, ...] = ()


class Assignment(Struct, frozen=True):
    """All endpoints of a cluster."""

    cluster_name: str = ""
    endpoints: tuple[Locality, ...] = ()


class DynamicEndpoints(Struct, frozen=True):
    """Endpoints from xds."""

    endpoint_config: Assignment = Assignment()


class RouteConfig(Struct, frozen=True):
    """A route configuration's name is all that is asked."""

    name: str = ""


class DynamicRoutes(Struct, frozen=True):
    """Routes from xds."""

    route_config: RouteConfig = RouteConfig()


class Named(Struct, frozen=True):
    """A secret's name."""

    name: str = ""


class Part(Struct, frozen=True):
    """One of a dump's parts; which one its fields tell."""

    dynamic_listeners: tuple[DynamicListener, ...] = ()
    dynamic_active_clusters: tuple[DynamicCluster, ...] = ()
    dynamic_warming_clusters: tuple[DynamicCluster, ...] = ()
    dynamic_endpoint_configs: tuple[DynamicEndpoints, ...] = ()
    dynamic_route_configs: tuple[DynamicRoutes, ...] = ()
    dynamic_active_secrets: tuple[Named, ...] = ()
    dynamic_warming_secrets: tuple[Named, ...] = ()


class Dump(Struct, frozen=True):
    """A whole dump."""

    configs: tuple[Part, ...] = ()


class Believed(Struct, frozen=True, kw_only=True):
    """What of it matters here. `endpoints`: (name of the assignment, its addresses)."""

    listeners: tuple[Listener, ...] = ()
    errors: tuple[tuple[str, str], ...] = ()
    clusters: frozenset[str] = frozenset()
    warming: frozenset[str] = frozenset()
    endpoints: tuple[tuple[str, tuple[Socket, ...]], ...] = ()
    routes: frozenset[str] = frozenset()
    secrets: frozenset[str] = frozenset()

    def listener(self, name: str) -> Listener | None:
        return next((each for each in self.listeners if each.name == name), None)

    def addresses(self, cluster: str) -> tuple[Socket, ...]:
        """Of a service's cluster: its assignment has the accounts allowed in its name, after an `@`."""
        return tuple(
            socket
            for name, sockets in self.endpoints
            if name == cluster or name.startswith(f"{cluster}@")
            for socket in sockets
        )


def believed(dump: str) -> Believed:
    """Raises msgspec.DecodeError if it is no dump."""
    parts = msgspec.json.decode(dump, type=Dump).configs
    listeners = [each for part in parts for each in part.dynamic_listeners]
    return Believed(
        listeners=tuple(each.active_state.listener for each in listeners if each.active_state is not None),
        errors=tuple((each.name, each.error_state.details) for each in listeners if each.error_state is not None),
        clusters=frozenset(each.cluster.name for part in parts for each in part.dynamic_active_clusters),
        warming=frozenset(each.cluster.name for part in parts for each in part.dynamic_warming_clusters),
        endpoints=tuple(
            (each.endpoint_config.cluster_name, tuple(_sockets(each.endpoint_config.endpoints)))
            for part in parts
            for each in part.dynamic_endpoint_configs
        ),
        routes=frozenset(each.route_config.name for part in parts for each in part.dynamic_route_configs),
        secrets=frozenset(each.name for part in parts for each in part.dynamic_active_secrets),
    )


def _sockets(localities: Iterable[Locality]) -> Iterable[Socket]:
    for locality in localities:
        for each in locality.lb_endpoints:
            yield each.endpoint.address.socket_address
