"""What a listener or route configuration refers to by name and is of no use without: clusters and route configurations.

Generic over Envoy's messages: it walks every field, packed ones included. Separate because a rollout has to know it
and nothing else of what is in a resource. What is referred to and never given is the owner's business.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache

from envoy.config.core.v3 import grpc_service_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from osm.ads.resource import Resource
from osm.ads.types import CLUSTER, LISTENER, ROUTE

Key = tuple[str, str]
"""Type URL and name."""

REMEMBERED = 512
"""Resources whose references are remembered: those of one large change."""

_BY_CLUSTER = (route_components_pb2.RouteAction, tcp_proxy_pb2.TcpProxy)
_BY_CLUSTER_NAME = (grpc_service_pb2.GrpcService.EnvoyGrpc,)
_BY_NAME = (route_components_pb2.WeightedCluster.ClusterWeight, tcp_proxy_pb2.TcpProxy.WeightedCluster.ClusterWeight)


def needs(resource: Resource) -> frozenset[Key]:
    """The clusters and route configurations that a listener or route configuration names; empty for other types."""
    if resource.type_url not in (LISTENER, ROUTE):
        return frozenset()
    return _needs(resource.body)


def routes_of(listeners: Iterable[Resource]) -> frozenset[Key]:
    """The route configurations that any of them names."""
    return frozenset(key for listener in listeners for key in needs(listener) if key[0] == ROUTE)


def message_of(resource: Resource) -> Message:
    """The resource's message; the packed one itself when its type is not known here."""
    return unpack_body(resource.body)


def unpack_body(body: bytes) -> Message:
    """The same of a packed message in bytes."""
    return unpack(any_pb2.Any.FromString(body))


def unpack(packed: any_pb2.Any) -> Message:
    """The message inside; the packed one itself when its type is not known here."""
    try:
        found = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    except KeyError:
        return packed
    return message_factory.GetMessageClass(found).FromString(packed.value)


@lru_cache(maxsize=REMEMBERED)
def _needs(body: bytes) -> frozenset[Key]:
    return frozenset(key for key in _references(unpack_body(body)) if key[1])


def _references(message: Message) -> Iterator[Key]:
    if isinstance(message, any_pb2.Any):
        inner = unpack(message)
        if inner is not message:
            yield from _references(inner)
        return
    if isinstance(message, _BY_CLUSTER):
        yield CLUSTER, message.cluster
    elif isinstance(message, _BY_CLUSTER_NAME):
        yield CLUSTER, message.cluster_name
    elif isinstance(message, _BY_NAME):
        yield CLUSTER, message.name
    elif isinstance(message, http_connection_manager_pb2.Rds):
        yield ROUTE, message.route_config_name
    for part in parts(message):
        yield from _references(part)


def parts(message: Message) -> Iterator[Message]:
    """The messages in a message's own fields: single, repeated, or values of a map."""
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield from (part for part in value.values() if isinstance(part, Message))
        elif isinstance(value, Message):
            yield value
        else:
            yield from value
