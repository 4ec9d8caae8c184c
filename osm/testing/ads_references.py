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
from google.protobuf import any_pb2
from google.protobuf.message import Message

from osm.ads.references import parts, unpack
from osm.ads.types import ENDPOINT, ROUTE, SECRET

__all__ = ["KNOWN_MODULES", "references", "unpack"]

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
    for part in parts(message):
        yield from references(part)
