"""All problems of a folder at once, and no text that makes the reading of policies fail."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from osm.contracts.codec import decode, encode
from osm.contracts.policy import Mesh, TcpRoute
from osm.manifests import RawDocument, Scan
from osm.manifests.yaml import read
from osm.smi import parse
from osm.smi.check import check
from osm.smi.groups import GROUPS

TEXT = """
apiVersion: v1
kind: Service
metadata: {name: none-of-ours}
spec: nonsense
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: good}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: bad}
spec: {matches: {port: [1]}}
---
apiVersion: specs.smi-spec.io/v1alpha4
kind: TCPRoute
metadata: {name: broken}
spec: {}
spec: {}
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: a, namespace: osm-system}
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec: {traffic: {enableEgress: false}}
---
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshRootCertificate
metadata: {name: out}
---
no: identity
"""


def test_a_folder_is_judged_as_a_whole_in_order_of_place() -> None:
    reading = read(TEXT, "f.yaml")
    sound, problems = check(Scan(documents=reading.documents, problems=reading.problems))
    assert [policy for _, policy in sound] == [TcpRoute(namespace="default", name="good"), Mesh(egress=False)]
    assert [str(problem) for problem in problems] == [
        "f.yaml:14: TCPRoute default/bad: spec.matches.port: unknown field; allowed are name, ports "
        "(did you mean `ports`?)",
        "f.yaml:20: TCPRoute default/broken: spec: the key `spec` is there twice, first at line 19",
        "f.yaml:24: MeshConfig osm-system/a: metadata.name: the mesh has one MeshConfig, and "
        "MeshConfig osm-system/osm-mesh-config counts; remove this one",
        "f.yaml:32: MeshRootCertificate default/out: kind: MeshRootCertificate is accepted and not enforced yet: "
        "it changes nothing",
        "f.yaml:35: apiVersion: a document without apiVersion and kind and metadata.name names no object",
    ]


def test_an_object_too_large_for_the_mesh_is_told() -> None:
    names = ", ".join(f"{{name: m{number}, headers: {{host: x}}}}" for number in range(20_000))
    text = (
        "apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: big}\n"
        f"spec: {{matches: [{names}]}}\n"
    )
    found = parse(read(text, "f").documents[0])
    assert found.object is None
    assert [problem.what.partition("has")[2].partition("bytes")[2] for problem in found.problems] == [
        " as the mesh stores it, allowed are 1048576; split it in two"
    ]


def test_of_very_many_mistakes_the_first_are_told() -> None:
    matches = ", ".join(f"{{name: m{number}, methods: [X]}}" for number in range(1000))
    head = "apiVersion: specs.smi-spec.io/v1alpha4\nkind: HTTPRouteGroup\nmetadata: {name: a}\n"
    text = f"{head}spec: {{matches: [{matches}]}}\n"
    problems = parse(read(text, "f").documents[0]).problems
    assert (len(problems), problems[-1].what) == (51, "950 more problems are not listed")


WORDS = ["spec", "kind", "name", "namespace", "destination", "sources", "rules", "matches", "pathRegex", "methods"]
WORDS += ["headers", "ports", "service", "backends", "weight", "sidecar", "logLevel", "traffic", "observability"]
WORDS += ["tracing", "enable", "certificate", "serviceCertValidityDuration", "ServiceAccount", "HTTPRouteGroup", "x"]
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(WORDS))
VALUES: st.SearchStrategy[Any] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)
HEADS = [
    (f"{group}/{version}", name)
    for group, kinds in GROUPS.items()
    for name, kind in kinds.items()
    for version in kind.versions
]


@given(st.sampled_from(HEADS), st.dictionaries(st.sampled_from(["spec", "status", "x"]), VALUES))
def test_no_body_makes_parsing_fail_and_none_goes_unexplained(head: tuple[str, str], body: dict[str, Any]) -> None:
    api_version, kind = head
    whole = body | {"apiVersion": api_version, "kind": kind, "metadata": {"name": "it"}}
    raw = RawDocument(kind=kind, api_version=api_version, namespace="default", name="it", body=whole)
    found = parse(raw)
    assert found.object is not None or found.problems
    assert found.object is None or decode(type(found.object), encode(found.object)) == found.object
    assert all(problem.what for problem in found.problems)
