"""A listener of a pod's bootstrap that serves a few known requests in the clear, and nothing else.

Apart from what is served (probes, admin pages), because being narrow is one idea: no request that is not in `routes`
gets further, no path is read in two ways, and Envoy adds nothing of its own to what goes on to an app.
"""

from collections.abc import Sequence

from envoy.config.core.v3.address_pb2 import Address as EnvoyAddress
from envoy.config.core.v3.address_pb2 import SocketAddress
from envoy.config.core.v3.protocol_pb2 import HttpProtocolOptions
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.health_check.v3.health_check_pb2 import HealthCheck
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue

EVERYWHERE = "0.0.0.0"  # noqa: S104  # kubelet and Prometheus come from the node
LOOPBACK = "127.0.0.1"

HTTP_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

IDLE_S = 60
"""A connection on which nothing is asked is closed; kubelet opens a new one for every probe."""
HEADERS_WITHIN_S = 5
"""A client that takes longer to say what it wants is holding the connection for its own sake."""


def listener(
    name: str,
    port: int,
    routes: Sequence[Route],
    *,
    before_routing: Sequence[HealthCheck] = (),
) -> Listener:
    """`before_routing` are requests that Envoy answers by itself."""
    answers = [
        HttpFilter(name=f"envoy.filters.http.health_check.{number}", typed_config=_any(each))
        for number, each in enumerate(before_routing)
    ]
    router = HttpFilter(name="envoy.filters.http.router", typed_config=_any(Router(suppress_envoy_headers=True)))
    manager = HttpConnectionManager(
        stat_prefix=name,
        route_config=RouteConfiguration(
            name=name, virtual_hosts=[VirtualHost(name=name, domains=["*"], routes=routes)]
        ),
        http_filters=[*answers, router],
        normalize_path=BoolValue(value=True),
        path_with_escaped_slashes_action=HttpConnectionManager.REJECT_REQUEST,
        generate_request_id=BoolValue(value=False),
        skip_xff_append=True,
        server_header_transformation=HttpConnectionManager.PASS_THROUGH,
        request_headers_timeout=Duration(seconds=HEADERS_WITHIN_S),
        common_http_protocol_options=HttpProtocolOptions(idle_timeout=Duration(seconds=IDLE_S)),
    )
    network = Filter(name="envoy.filters.network.http_connection_manager", typed_config=_any(manager))
    at = SocketAddress(address=EVERYWHERE, port_value=port)
    return Listener(name=name, address=EnvoyAddress(socket_address=at), filter_chains=[FilterChain(filters=[network])])


def _any(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
