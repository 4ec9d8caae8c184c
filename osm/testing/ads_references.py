"""Which resources a cluster or listener refers to: the names a proxy asks for after it has received one.

Generic over Envoy's messages: it walks every field, packed ones included, and looks for the three ways to refer.
"""

from collections.abc import Iterator

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2, tls_pb2
from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message

from osm.ads.types import ENDPOINT, ROUTE, SECRET

KNOWN_MODULES = (
    cluster_pb2,
    endpoint_pb2,
    listener_pb2,
    route_pb2,
    http_connection_manager_pb2,
    secret_pb2,
    tls_pb2,
)
"""Importing a module makes its messages known, and so possible to unpack."""


def unpack(packed: any_pb2.Any) -> Message:
    """The message inside; the packed one itself when its type is not known here."""
    try:
        found = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    except KeyError:
        return packed
    return message_factory.GetMessageClass(found).FromString(packed.value)


def references(message: Message) -> Iterator[tuple[str, str]]:
    """(type URL, name) of every resource that `message` needs by discovery."""
    if isinstance(message, any_pb2.Any):
        inner = unpack(message)
        if inner is not message:
            yield from references(inner)
        return
    if isinstance(message, cluster_pb2.Cluster) and message.type == cluster_pb2.Cluster.EDS:
        yield ENDPOINT, message.eds_cluster_config.service_name or message.name
    elif isinstance(message, http_connection_manager_pb2.Rds):
        yield ROUTE, message.route_config_name
    elif isinstance(message, secret_pb2.SdsSecretConfig) and message.HasField("sds_config"):
        yield SECRET, message.name
    for part in _parts(message):
        yield from references(part)


def _parts(message: Message) -> Iterator[Message]:
    for field, value in message.ListFields():
        if field.type != field.TYPE_MESSAGE:
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield from (part for part in value.values() if isinstance(part, Message))
        elif isinstance(value, Message):
            yield value
        else:
            yield from value
