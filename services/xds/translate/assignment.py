"""Endpoints of a service as Envoy's load assignment: the only resource that churns, and the only one pushed for it.

Separate from clusters on purpose: nothing here is read when clusters, listeners or routes are built.
"""

from itertools import groupby

from envoy.config.core.v3.base_pb2 import Locality
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint as EnvoyEndpoint
from envoy.config.endpoint.v3.endpoint_components_pb2 import LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from osm.contracts.catalog import MeshService
from osm.contracts.endpoints import Endpoint
from osm.contracts.names import Address
from services.xds.translate.messages import socket_address
from services.xds.translate.model import ALL, AssignmentKey


def load_assignment(key: AssignmentKey, service: MeshService) -> ClusterLoadAssignment:
    """The ready addresses that `key` speaks of; none is a valid answer and means 503."""
    endpoints = sorted((e for e in service.endpoints if _wanted(e, key)), key=_place)
    return ClusterLoadAssignment(
        cluster_name=key.name,
        endpoints=[_locality(zone, tuple(there)) for zone, there in groupby(endpoints, lambda e: e.locality)],
    )


def _wanted(endpoint: Endpoint, key: AssignmentKey) -> bool:
    return endpoint.port == key.port and (key.accounts is ALL or endpoint.identity in key.accounts)


def _place(endpoint: Endpoint) -> tuple[str, Address]:
    return endpoint.locality, endpoint.address


def _locality(zone: str, endpoints: tuple[Endpoint, ...]) -> LocalityLbEndpoints:
    """An unnamed locality is left unset. An address counts once, however many documents announced it."""
    addresses = dict.fromkeys(endpoint.address for endpoint in endpoints)
    return LocalityLbEndpoints(
        locality=Locality(zone=zone) if zone else None,
        lb_endpoints=[LbEndpoint(endpoint=EnvoyEndpoint(address=socket_address(a))) for a in addresses],
    )
