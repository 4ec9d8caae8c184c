"""External authorization: somebody else is asked about each request that access control has let pass.

The authorizer is one for the mesh, asked over gRPC in the clear by the sidecar of the app that is called. A request
passes if it says so; unless the user has said otherwise, one that it does not judge in time ends as 403.
"""

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import BufferSettings, ExtAuthz
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from osm.contracts.endpoints import Protocol
from osm.contracts.names import Address, ObjectRef
from osm.contracts.policy import ExternalAuthorization, Mesh
from services.xds.translate.cluster import grpc_cluster
from services.xds.translate.messages import milliseconds, packed

AUTHORIZER = "external-authorizer"
"""The cluster."""

FILTER = "envoy.filters.http.ext_authz"

BODY_BYTES = 8 * 1024
"""Of a request, shown to the authorizer; OSM's. A longer one is shown so far."""


def authorization(mesh: Mesh, protocol: Protocol) -> tuple[HttpFilter, ...]:
    """Of an HTTP connection manager, behind access control; empty if nobody is to be asked.

    To show the beginning of a body is to wait for it. A stream of gRPC may wait for an answer first, so there none is
    shown.
    """
    asked = mesh.external_authorization
    if asked is None:
        return ()
    config = ExtAuthz(
        grpc_service=GrpcService(
            envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=AUTHORIZER), timeout=milliseconds(asked.timeout_ms)
        ),
        transport_api_version=ApiVersion.V3,
        failure_mode_allow=asked.failure_mode_allow,
        stat_prefix=asked.stat_prefix,
    )
    if protocol != "grpc":
        config.with_request_body.CopyFrom(BufferSettings(max_request_bytes=BODY_BYTES, allow_partial_message=True))
    return (HttpFilter(name=FILTER, typed_config=packed(config)),)


def authorization_origins(mesh: Mesh) -> tuple[ObjectRef, ...]:
    """Who has said that somebody is asked."""
    return (mesh.external_authorization.origin,) if mesh.external_authorization else ()


def authorizer_cluster(asked: ExternalAuthorization) -> Cluster:
    return grpc_cluster(AUTHORIZER, Address(asked.address, asked.port))
