"""A translation as a bootstrap that needs no control plane, so that a real Envoy can judge or run it.

What would come over ADS is put in its place: load assignments into clusters, routes into connection managers,
secrets into the bootstrap's own. Nothing else is changed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any as Anything

from envoy.config.bootstrap.v3.bootstrap_pb2 import Admin, Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address, SocketAddress
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from google.protobuf.any_pb2 import Any as Packed
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.xds.translate import Built, Translation


def static(
    translation: Translation, assignments: Iterable[Built], secrets: Iterable[Secret], *, admin_port: int = 0
) -> Bootstrap:
    """The same configuration, self-contained. Admin on 127.0.0.1 if a port is given."""
    loads = {built.name: built.message for built in assignments}
    routes = {built.name: built.message for built in translation.routes}
    bootstrap = Bootstrap()
    bootstrap.node.id, bootstrap.node.cluster = "golden", "golden"
    bootstrap.static_resources.clusters.extend(_cluster(built.message, loads) for built in translation.clusters)
    bootstrap.static_resources.listeners.extend(_listener(built.message, routes) for built in translation.listeners)
    bootstrap.static_resources.secrets.extend(secrets)
    if admin_port:
        there = SocketAddress(address="127.0.0.1", port_value=admin_port)
        bootstrap.admin.CopyFrom(Admin(address=Address(socket_address=there)))
    return bootstrap


def _cluster(message: Message, loads: Mapping[str, Message]) -> Cluster:
    cluster = Cluster.FromString(message.SerializeToString())
    if cluster.type == Cluster.EDS:
        load = ClusterLoadAssignment.FromString(loads[cluster.eds_cluster_config.service_name].SerializeToString())
        load.cluster_name = cluster.name
        cluster.ClearField("eds_cluster_config")
        cluster.type = Cluster.STATIC
        cluster.load_assignment.CopyFrom(load)
    _settle(cluster, {})
    return cluster


def _listener(message: Message, routes: Mapping[str, Message]) -> Listener:
    listener = Listener.FromString(message.SerializeToString())
    _settle(listener, routes)
    return listener


def _settle(message: Anything, routes: Mapping[str, Message]) -> None:
    """Replace every reference to ADS below `message`, packed messages included."""
    match message.DESCRIPTOR.name:
        case "SdsSecretConfig":
            message.ClearField("sds_config")  # the secret is one of the bootstrap's
        case "HttpConnectionManager":
            found = RouteConfiguration.FromString(routes[message.rds.route_config_name].SerializeToString())
            message.route_config.CopyFrom(found)
        case "Any":
            inner = unpacked(message)
            _settle(inner, routes)
            message.value = inner.SerializeToString(deterministic=True)
            return
    for child in children(message):
        _settle(child, routes)


def unpacked(message: Packed) -> Message:
    kind = Default().FindMessageTypeByName(message.type_url.rpartition("/")[2])
    return GetMessageClass(kind).FromString(message.value)


def children(message: Message) -> Iterator[Message]:
    """The messages directly below, those in lists and maps included."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                yield from value.values()
        elif isinstance(value, Message):
            yield value
        else:
            yield from value
