"""The gRPC methods of xDS: which service and method speaks which variant, about which type.

A table, because it is one; the handlers are the same for all.
"""

import msgspec

from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Variant
from osm.ads.sotw import SotwSubscription
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """One method. `only_type` is None for the aggregated service, which carries all types."""

    service: str
    name: str
    variant: Variant
    only_type: str | None

    @property
    def is_delta(self) -> bool:
        return self.variant is DeltaSubscription


def _pair(service: str, noun: str, only_type: str | None) -> tuple[Method, Method]:
    return (
        Method(service=service, name=f"Delta{noun}", variant=DeltaSubscription, only_type=only_type),
        Method(service=service, name=f"Stream{noun}", variant=SotwSubscription, only_type=only_type),
    )


METHODS: tuple[Method, ...] = (
    *_pair("envoy.service.discovery.v3.AggregatedDiscoveryService", "AggregatedResources", None),
    *_pair("envoy.service.cluster.v3.ClusterDiscoveryService", "Clusters", CLUSTER),
    *_pair("envoy.service.secret.v3.SecretDiscoveryService", "Secrets", SECRET),
    *_pair("envoy.service.endpoint.v3.EndpointDiscoveryService", "Endpoints", ENDPOINT),
    *_pair("envoy.service.listener.v3.ListenerDiscoveryService", "Listeners", LISTENER),
    *_pair("envoy.service.route.v3.RouteDiscoveryService", "Routes", ROUTE),
)
