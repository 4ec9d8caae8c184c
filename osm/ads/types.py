"""The resource types of xDS, in the order in which they are pushed.

The order is make before break (Envoy's xDS protocol, "Eventual consistency considerations"), with secrets right
after the clusters whose warming waits for them.
"""

from typing import Final

CLUSTER: Final = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
SECRET: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"  # noqa: S105 - a type URL, no password
ENDPOINT: Final = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = "type.googleapis.com/envoy.config.listener.v3.Listener"
ROUTE: Final = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"

PUSH_ORDER: Final = (CLUSTER, SECRET, ENDPOINT, LISTENER, ROUTE)

WHOLE_TYPES: Final = frozenset({CLUSTER, LISTENER})
"""Types whose empty first request means "all", and whose state-of-the-world responses are complete."""

LATE_REMOVAL: Final = (CLUSTER, ENDPOINT)
"""Types removed only when nothing else is under way, in this order: a route may still point at them."""

AFTER_CLUSTERS: Final = frozenset({LISTENER, ROUTE})
"""Types that refer to clusters; Envoy acknowledges clusters only once they are warm, so these wait for that."""

NEVER_REMOVED: Final = frozenset({SECRET})
"""Types whose absence means "not made yet": a proxy that loses its certificate could not come back."""

WILDCARD: Final = "*"

SHORT: Final = {CLUSTER: "CDS", SECRET: "SDS", ENDPOINT: "EDS", LISTENER: "LDS", ROUTE: "RDS"}
"""Envoy's short names, for logs and metrics."""


def push_rank(type_url: str) -> int:
    """Position in the push order; types we do not know come last."""
    return _RANK.get(type_url, len(PUSH_ORDER))


_RANK: Final = {type_url: rank for rank, type_url in enumerate(PUSH_ORDER)}
