"""The state of `meshspec`: the policies in force, as documents of its bucket. Pure.

One object is one document; MeshConfig alone has a rule of its own, since the mesh has one set of settings.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from osm.contracts.channels import (
    EGRESS,
    EXTENSION_SERVICE,
    HTTP_ROUTE_GROUP,
    INGRESS_BACKEND,
    MESH_CONFIG,
    RETRY,
    TCP_ROUTE,
    TELEMETRY,
    TRAFFIC_SPLIT,
    TRAFFIC_TARGET,
    UPSTREAM_TRAFFIC_SETTING,
    State,
)
from osm.contracts.names import ObjectRef
from osm.contracts.policy import Mesh
from osm.contracts.problem import Problem
from osm.manifests import Parsed, RawDocument, Scan
from osm.manifests.last_good import InForce, in_force
from osm.manifests.verdicts import problem
from osm.smi import AnyPolicy, is_policy, onemesh, parse

_CHANNELS: Mapping[str, State[Any]] = {
    "MeshConfig": MESH_CONFIG,
    "HTTPRouteGroup": HTTP_ROUTE_GROUP,
    "TCPRoute": TCP_ROUTE,
    "TrafficTarget": TRAFFIC_TARGET,
    "TrafficSplit": TRAFFIC_SPLIT,
    "IngressBackend": INGRESS_BACKEND,
    "Egress": EGRESS,
    "Retry": RETRY,
    "ExtensionService": EXTENSION_SERVICE,
    "Telemetry": TELEMETRY,
    "UpstreamTrafficSetting": UPSTREAM_TRAFFIC_SETTING,
}
"""Kind → channel, what others refer to first: the order in which documents are written."""

Objects = InForce[AnyPolicy]

CLOSED = Mesh(permissive=False, egress=False)
"""The settings of a mesh whose MeshConfig is not known: what it says may be that nothing is allowed. OSM's own default
for an absent one is the same."""


class Picture(Struct, frozen=True, kw_only=True):
    """What one scan leads to.

    `documents` is what bucket `meshspec` should hold, in the order to write it; `spoiled` are keys of objects that
    are there and were never good in this process: their form from an earlier run stays. `closed` is what stands in for
    those of them that an earlier run has left nothing of, and that must not be taken for absent.
    """

    found: Objects
    documents: Mapping[str, AnyPolicy]
    spoiled: frozenset[str] = frozenset()
    closed: Mapping[str, AnyPolicy] = {}
    problems: tuple[Problem, ...] = ()


def picture(scan: Scan, before: Picture | None = None) -> Picture:
    """What follows from a scan, given what followed from the one before it."""
    found = in_force(scan, _parse, before.found if before is not None else None)
    objects = found.objects
    mesh = onemesh.chosen(objects)
    others = [ref for ref in objects if ref.kind == onemesh.MESH_CONFIG and ref != mesh]
    documents = {
        key: objects[ref]
        for kind in _CHANNELS
        for ref in objects
        if ref.kind == kind and ref not in others and (key := _key(ref))
    }
    named = {problem.subject for problem in found.problems if problem.severity == "error"} | found.kept.keys()
    spoiled = {key for ref in named if ref is not None and (key := _key(ref))} - documents.keys()
    return Picture(
        found=found,
        documents=documents,
        spoiled=frozenset(spoiled),
        closed=dict.fromkeys(spoiled & {MESH_CONFIG.key()}, CLOSED),
        problems=tuple(_another(found, ref, mesh) for ref in others if mesh is not None),
    )


def _parse(raw: RawDocument) -> Parsed[AnyPolicy] | None:
    return parse(raw) if is_policy(raw) else None


def _key(ref: ObjectRef) -> str:
    """The key of the object's document; empty for kinds that have none."""
    channel = _CHANNELS.get(ref.kind)
    if channel is None:
        return ""
    return channel.key(ref.namespace, ref.name) if channel.parts else channel.key()


def _another(found: Objects, ref: ObjectRef, mesh: ObjectRef) -> Problem:
    return problem(ref, found.kept[ref], "metadata.name", onemesh.complaint(mesh))
