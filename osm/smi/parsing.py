"""One document → one contract, whatever its kind: the single door into this package.

Apart from the kinds, so that a reader needs no table of its own; adding a kind is a line here and one in `groups`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from osm.contracts.codec import encode
from osm.contracts.policies import AnyPolicy
from osm.contracts.problem import Problem, first
from osm.manifests import Parsed, RawDocument
from osm.manifests.convert import convert
from osm.smi import (
    access,
    egress,
    extension,
    groups,
    ingress,
    meshconfig,
    meshsettings,
    retry,
    specs,
    split,
    telemetry,
    trafficsetting,
)
from osm.smi.shape import Object

MAX_POLICY_BYTES = 1024 * 1024
"""About what a cluster stores in one object, and well below what the bus carries in one document."""


class _Reading(Struct, frozen=True):
    """How a kind is read: the shape of its text, and what its spec becomes."""

    document: type[Object]
    contract: Callable[[RawDocument, Any], tuple[AnyPolicy, tuple[Problem, ...]]]


_READINGS: Mapping[str, _Reading] = {
    "TrafficTarget": _Reading(access.Document, access.traffic_target),
    "HTTPRouteGroup": _Reading(specs.HttpDocument, specs.http_route_group),
    "TCPRoute": _Reading(specs.TcpDocument, specs.tcp_route),
    "TrafficSplit": _Reading(split.Document, split.traffic_split),
    "Egress": _Reading(egress.Document, egress.egress),
    "IngressBackend": _Reading(ingress.Document, ingress.ingress_backend),
    "Retry": _Reading(retry.Document, retry.retry),
    "UpstreamTrafficSetting": _Reading(trafficsetting.Document, trafficsetting.upstream_traffic_setting),
    "ExtensionService": _Reading(extension.Document, extension.extension_service),
    "Telemetry": _Reading(telemetry.Document, telemetry.telemetry),
    "MeshConfig": _Reading(meshconfig.Document, meshsettings.mesh),
}


def parse(raw: RawDocument) -> Parsed[AnyPolicy]:
    """What a policy document says and everything that is wrong with it; the object is None if it cannot be in force.

    Kinds that the mesh does not enforce yet give no object and a warning. Ask `is_policy` first.
    """
    problems = groups.known(raw)
    reading = _READINGS.get(raw.kind)
    if problems or reading is None:
        return Parsed(object=None, problems=problems)
    document = convert(raw, reading.document)
    if isinstance(document, tuple):
        return Parsed(object=None, problems=document)
    contract, problems = reading.contract(raw, document.spec)  # type: ignore[attr-defined]  # every kind's shape has one
    size = len(encode(contract))
    if size > MAX_POLICY_BYTES:
        what = f"the object has {size} bytes as the mesh stores it, allowed are {MAX_POLICY_BYTES}; split it in two"
        problems = (*problems, raw.problem("", what))
    wrong = any(problem.severity == "error" for problem in problems)
    return Parsed(object=None if wrong else contract, problems=first(problems))
