"""Policies as their authors write them, read: what tests of every kind share."""

from textwrap import dedent

from osm.manifests import Parsed, RawDocument
from osm.manifests.yaml import read
from osm.smi import AnyPolicy, is_policy, parse

APIS = {
    "TrafficTarget": "access.smi-spec.io/v1alpha3",
    "HTTPRouteGroup": "specs.smi-spec.io/v1alpha4",
    "TCPRoute": "specs.smi-spec.io/v1alpha4",
    "TrafficSplit": "split.smi-spec.io/v1alpha4",
    "MeshConfig": "config.openservicemesh.io/v1alpha2",
}
SPEC_LINE = 4
"""Where `spec:` stands in `document`: its first field is a line below."""

TARGET = """
destination: {kind: ServiceAccount, name: store, namespace: shop}
sources:
- {kind: ServiceAccount, name: buyer, namespace: buyers}
- {kind: ServiceAccount, name: admin, namespace: admins}
rules:
- {kind: HTTPRouteGroup, name: routes, matches: [buy, look]}
- {kind: HTTPRouteGroup, name: others}
- {kind: TCPRoute, name: sql}
"""


def document(kind: str, spec: str, *, api: str = "") -> RawDocument:
    head = f"apiVersion: {api or APIS[kind]}\nkind: {kind}\nmetadata: {{name: it, namespace: shop}}\n"
    text = head + "spec:\n" + "".join(f"  {line}\n" for line in dedent(spec).strip("\n").splitlines())
    reading = read(text, "f.yaml")
    assert reading.problems == ()
    return reading.documents[0]


def parsed(kind: str, spec: str, *, api: str = "") -> Parsed[AnyPolicy]:
    raw = document(kind, spec, api=api)
    assert is_policy(raw)
    return parse(raw)


def sentences(found: Parsed[AnyPolicy]) -> list[str]:
    return [f"{(each.line or 0) - SPEC_LINE} {each.severity} {each.field}: {each.what}" for each in found.problems]
