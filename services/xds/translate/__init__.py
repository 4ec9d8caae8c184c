"""What one class of proxies gets: documents in, Envoy's messages out.

Pure: no clock, no logging, nothing remembered that matters. Equal documents give equal bytes, in whatever order they
came, and a change of endpoints alone gives the same clusters, listeners and routes.

Reading order: `model` (what goes in and out), `reach` (what may be called), `outbound` and `inbound` (the two
directions), `explicit` and `transparent` (the two ways traffic gets to the sidecar), `ingress…` and `egress…` (what
comes from and goes to the world outside), then the builders they use: `cluster`, `route`, `filters`, `access`, `tls`,
and what users may add to them (`retry`, `…limit…`, `authorization`). `access_log` goes over all listeners once they
are made, and `narrow…` takes back what older messages grant.
"""

from services.xds.translate.assignment import load_assignment
from services.xds.translate.cluster import PASSTHROUGH
from services.xds.translate.egress_clusters import AS_DIALLED, BY_NAME
from services.xds.translate.model import ALL, AssignmentKey, Built, Part, Planned, Translation, View
from services.xds.translate.narrow import narrowed
from services.xds.translate.reach import Destination, destinations
from services.xds.translate.secret import LEAF, bundle_name, bundle_secret, leaf_secret
from services.xds.translate.translation import translate

WAYS_OUT = frozenset({PASSTHROUGH, AS_DIALLED, BY_NAME})
"""Clusters that lead out of the mesh."""

__all__ = [
    "ALL",
    "LEAF",
    "PASSTHROUGH",
    "WAYS_OUT",
    "AssignmentKey",
    "Built",
    "Destination",
    "Part",
    "Planned",
    "Translation",
    "View",
    "bundle_name",
    "bundle_secret",
    "destinations",
    "leaf_secret",
    "load_assignment",
    "narrowed",
    "translate",
]
