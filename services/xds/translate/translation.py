"""The whole of it: a workload and what it may know, to everything its Envoy gets."""

from collections.abc import Iterable

from osm.contracts.endpoints import Explicit, Transparent, Workload
from services.xds.translate import explicit, inbound, ingress, outbound, transparent
from services.xds.translate.access_log import logged
from services.xds.translate.authorization import AUTHORIZER, authorizer_cluster
from services.xds.translate.cluster import TRACING, tracing_cluster
from services.xds.translate.inbound import Served, served
from services.xds.translate.limits import limiter_clusters
from services.xds.translate.log_collector import collector_clusters
from services.xds.translate.model import Built, Part, Translation, View
from services.xds.translate.reach import Destination, destinations
from services.xds.translate.tls import MeshTls


def translate(workload: Workload, view: View, reach: tuple[Destination, ...] | None = None) -> Translation:
    """Equal for all workloads that differ in `proxy_id` alone, and untouched by endpoints.

    `reach`: the `destinations` of the view, from who has them already.
    """
    mesh_tls = MeshTls.of(view.trust_domain, view.mesh)
    reach = destinations(view) if reach is None else reach
    serves = served(workload)
    listeners: tuple[Part, ...]
    routes: tuple[Part, ...]
    others: tuple[Part, ...]
    match workload.interception:
        case Explicit() as mode:
            listeners = explicit.listeners(mode, mesh_tls, view, reach, serves)
            routes = explicit.routes(workload, view, reach)
            others = (*explicit.app_clusters(mode, serves), *explicit.egress_clusters(view))
        case Transparent() as mode:
            listeners = transparent.listeners(mesh_tls, view, reach, serves)
            routes = transparent.routes(workload, view, reach)
            others = (
                *transparent.app_clusters(mode, serves),
                *transparent.pod_clusters(mesh_tls, view, reach),
                *transparent.egress_clusters(view),
            )
    inbound_routes = (inbound.inbound_routes(it, view) for it in serves if it.http)
    return Translation(
        clusters=_sorted(
            [
                *outbound.clusters(reach, mesh_tls, view),
                *others,
                *_tracing(view),
                *collector_clusters(view.access_log),
                *_authorizer(view, serves),
                *_limiters(view, serves),
            ]
        ),
        listeners=_sorted(logged(each, view.access_log) for each in listeners),
        routes=_sorted([*routes, *inbound_routes, *ingress.ingress_routes(serves, view)]),
        assignments=tuple(to.assignment for to in reach if to.accounts),
    )


def _tracing(view: View) -> tuple[Built, ...]:
    tracing = view.mesh.tracing
    return (Built(name=TRACING, message=tracing_cluster(tracing)),) if tracing else ()


def _authorizer(view: View, serves: tuple[Served, ...]) -> tuple[Built, ...]:
    asked = view.mesh.external_authorization if serves else None
    return (Built(name=AUTHORIZER, message=authorizer_cluster(asked), origins=(asked.origin,)),) if asked else ()


def _limiters(view: View, serves: tuple[Served, ...]) -> tuple[Built, ...]:
    return limiter_clusters(view, sorted({it.backed.service for it in serves}))


def _sorted(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda each: each.name))
