"""The CRDs on a real API server: what the mesh reads applies, what it refuses is refused, in words."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from osm.manifests.yaml import read
from osm.smi import POLICY_KINDS, parse
from osm.smi.groups import GROUPS
from osm.testing.kubernetes import ApiServer
from tests.kubernetes.asking import CRDS, Kinds, Refused, ask, check, create, install_crds, make_namespaces

ROOT = Path(__file__).parents[2]
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

Object = Mapping[str, Any]


@pytest.fixture(scope="module")
def kinds(server: ApiServer) -> Kinds:
    install_crds(server)
    make_namespaces(server, ["crds"])
    return Kinds(server)


def published() -> Iterator[tuple[str, Object]]:
    """Every policy of the demo and of the documentation, with the file it is in."""
    for folder in ("manifests", "edits", "protocols"):
        for file in sorted((ROOT / "demo" / folder).glob("*.yaml")):
            yield from ((f"{folder}/{file.name}", each) for each in yaml.safe_load_all(file.read_text()))
    for file in sorted(ROOT.rglob("*.md")):
        if ".venv" in file.parts:
            continue
        for block in re.findall(r"^```yaml\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL):
            yield from ((file.name, each) for each in yaml.safe_load_all(block))


PUBLISHED = [
    pytest.param(each, id=f"{file}:{each['kind']}/{each['metadata']['name']}")
    for file, each in published()
    if isinstance(each, dict) and each.get("kind") in POLICY_KINDS
]


@pytest.mark.parametrize("found", PUBLISHED)
def test_every_published_policy_applies(found: Object, server: ApiServer, kinds: Kinds) -> None:
    make_namespaces(server, [found["metadata"].get("namespace", "default")])
    placed = {**found, "metadata": {"namespace": "default", **found["metadata"]}}
    made = check(server, kinds, placed)
    assert made["spec"] == found["spec"]  # nothing was dropped, and nothing put in that would read otherwise


def test_the_cluster_serves_the_kinds_and_versions_that_the_mesh_reads() -> None:
    served = {}
    for file in CRDS.glob("*.yaml"):
        spec = yaml.safe_load(file.read_text())["spec"]
        versions = tuple(sorted(each["name"] for each in spec["versions"] if each["served"]))
        served[spec["group"], spec["names"]["kind"]] = versions
    assert served == {(group, kind): found.versions for group, all_ in GROUPS.items() for kind, found in all_.items()}


def policy(kind: str, spec: str | None, version: str = "", namespace: str = "crds") -> Object:
    """Of flow YAML, so that a table of them can be read."""
    group = next(group for group, all_ in GROUPS.items() if kind in all_)
    newest = GROUPS[group][kind].versions[-1]
    body = {
        "apiVersion": f"{group}/{version or newest}",
        "kind": kind,
        "metadata": {"name": "one", "namespace": namespace},
    }
    return body if spec is None else {**body, "spec": yaml.safe_load(spec)}


ACCOUNT = "kind: ServiceAccount, name: a, namespace: crds"
GOOD = [
    (
        "TrafficTarget",
        f"{{destination: {{{ACCOUNT}}}, sources: [{{{ACCOUNT}}}], "
        "rules: [{kind: TCPRoute, name: r, matches: null}]}",
    ),
    (
        "TrafficTarget",
        f"{{destination: {{{ACCOUNT}}}, sources: [{{{ACCOUNT}}}], "
        "rules: [{kind: HTTPRouteGroup, name: r, matches: [x]}]}",
    ),
    ("HTTPRouteGroup", "{matches: [{name: a, headers: {x-user: a.*, y: b}}]}"),
    ("HTTPRouteGroup", "{matches: [{name: a, headers: [{x-user: a.*}, {y: b}]}]}"),
    ("HTTPRouteGroup", "{matches: [{name: a, headers: null, pathRegex: null}]}"),
    ("HTTPRouteGroup", '{matches: [{name: a, methods: ["*"]}, {name: b, methods: [get, POST]}]}'),
    ("TCPRoute", "{matches: {name: x, ports: [1, 65535]}}"),
    ("TCPRoute", "{matches: null}"),
    ("TCPRoute", "{}"),
    ("TCPRoute", None),
    ("TrafficSplit", "{service: shop, backends: [{service: v1, weight: 0}, {service: v2, weight: 2147483647}]}"),
    ("TrafficSplit", "{service: shop.crds.svc.cluster.local, backends: [{service: v1.crds, weight: 1}]}"),
    (
        "TrafficSplit",
        "{service: shop, backends: [{service: v1, weight: 1}], matches: [{kind: HTTPRouteGroup, name: t}]}",
    ),
    (
        "TrafficSplit",
        "{service: shop, backends: [{service: v1, weight: 1}], "
        "matches: [{kind: HTTPRouteGroup, name: t, apiGroup: specs.smi-spec.io}]}",
    ),
    ("MeshConfig", "{}"),
    ("MeshConfig", None),
    ("MeshConfig", "{sidecar: {logLevel: off}}"),  # YAML's false
    ("MeshConfig", "{sidecar: {logLevel: 'off', tlsMinProtocolVersion: TLSv1_3, cipherSuites: [X]}}"),
    ("MeshConfig", "{traffic: {enableEgress: null, outboundIPRangeExclusionList: [10.0.0.0/8]}}"),
    ("MeshConfig", "{certificate: {serviceCertValidityDuration: 1h30m}, featureFlags: {enableSPIFFE: false}}"),
    ("MeshConfig", "{sidecar: {resources: {limits: {cpu: 1}}}, observability: {osmLogLevel: info}}"),
    (
        "IngressBackend",
        "{backends: [{name: shop, port: {number: 80, protocol: HTTP}}], "
        "sources: [{kind: Service, name: gateway, namespace: ingress}, {kind: IPRange, name: 10.0.0.0/8}]}",
    ),
]
GOOD_ELSEWHERE = [
    (
        "Egress",
        f"{{sources: [{{{ACCOUNT}}}], hosts: [example.com], ports: [{{number: 80, protocol: http}}], "
        'matches: [{apiGroup: "specs.smi-spec.io/v1alpha4", kind: HTTPRouteGroup, name: g}]}',
    ),
    (
        "Retry",
        f"{{source: {{{ACCOUNT}}}, destinations: [{{kind: Service, name: shop, namespace: crds}}], "
        "retryPolicy: {retryOn: 5xx, perTryTimeout: 1s, numRetries: 5, retryBackoffBaseInterval: 1s}}",
    ),
    (
        "UpstreamTrafficSetting",
        "{host: shop.crds.svc.cluster.local, connectionSettings: {tcp: {maxConnections: 0, connectTimeout: 5s}, "
        "http: {maxRequests: 1}}, rateLimit: {local: {tcp: {connections: 1, unit: minute, burst: 2}, "
        "http: {requests: 1, unit: second, responseStatusCode: 503, responseHeadersToAdd: [{name: a, value: b}]}}, "
        "global: {http: {domain: d, rateLimitService: {host: h, port: 80}, descriptors: [{entries: "
        "[{genericKey: {value: v}}, {remoteAddress: {}}, {requestHeader: {name: n, key: k}}]}]}}}, "
        "httpRoutes: [{path: /a, rateLimit: {local: {requests: 1, unit: hour}}}]}",
    ),
    (
        "Telemetry",
        "{selector: {app: a}, accessLog: {format: '%REQ(x)%', "
        "openTelemetry: {extensionService: {name: a, namespace: b}}}}",
    ),
    ("ExtensionService", "{host: collector.crds, port: 4317, protocol: h2c, connectTimeout: 1s}"),
    ("MeshRootCertificate", "{role: active, provider: {tresor: {ca: {secretRef: {name: a, namespace: b}}}}}"),
]


@pytest.mark.parametrize(("kind", "spec"), GOOD)
def test_what_the_mesh_reads_applies_and_is_kept_whole(
    kind: str, spec: str | None, server: ApiServer, kinds: Kinds
) -> None:
    found = policy(kind, spec)
    (raw,) = read(yaml.safe_dump(found), "good").documents
    assert [problem for problem in parse(raw).problems if problem.severity == "error"] == []
    made = check(server, kinds, found)
    assert made.get("spec") == found.get("spec")


@pytest.mark.parametrize(("kind", "spec"), GOOD_ELSEWHERE)
def test_kinds_that_are_not_enforced_yet_apply_as_in_osm(kind: str, spec: str, server: ApiServer, kinds: Kinds) -> None:
    found = policy(kind, spec)
    assert check(server, kinds, found)["spec"].items() >= found["spec"].items()


BAD = [
    ("TrafficTarget", f"{{sources: [{{{ACCOUNT}}}], rules: [{{kind: TCPRoute, name: r}}]}}", "spec.destination"),
    (
        "TrafficTarget",
        f"{{destination: {{{ACCOUNT}}}, sources: [], rules: [{{kind: TCPRoute, name: r}}]}}",
        "spec.sources",
    ),
    ("TrafficTarget", f"{{destination: {{{ACCOUNT}}}, sources: [{{{ACCOUNT}}}], rules: []}}", "spec.rules"),
    (
        "TrafficTarget",
        f"{{destination: {{kind: Group, name: a, namespace: b}}, sources: [{{{ACCOUNT}}}], "
        "rules: [{kind: TCPRoute, name: r}]}",
        'Unsupported value: "Group": supported values: "ServiceAccount"',
    ),
    (
        "TrafficTarget",
        f"{{destination: {{{ACCOUNT}, port: 80}}, sources: [{{{ACCOUNT}}}], rules: [{{kind: TCPRoute, name: r}}]}}",
        'unknown field "spec.destination.port"',
    ),
    ("HTTPRouteGroup", "{matches: []}", "spec.matches"),
    ("HTTPRouteGroup", "{matches: [{pathRegex: /x}]}", "name"),
    ("HTTPRouteGroup", "{matches: [{name: a}, {name: a}]}", 'Duplicate value: {"name":"a"}'),
    ("HTTPRouteGroup", "{matches: [{name: a, methods: [FETCH]}]}", "spec.matches[0].methods[0]"),
    ("HTTPRouteGroup", "{matches: [{name: a, pathregex: /x}]}", 'unknown field "spec.matches[0].pathregex"'),
    ("TCPRoute", "{matches: {ports: [0]}}", "spec.matches.ports[0]"),
    ("TCPRoute", "{matches: {ports: [65536]}}", "should be less than or equal to 65535"),
    ("TrafficSplit", "{service: shop, backends: []}", "spec.backends"),
    ("TrafficSplit", "{service: shop, backends: [{service: v1, weight: 0}]}", "no backend would get traffic"),
    (
        "TrafficSplit",
        "{service: shop, backends: [{service: a, weight: 2147483647}, {service: b, weight: 2147483647}, "
        "{service: c, weight: 2147483647}]}",
        "at most 4294967295",
    ),
    ("TrafficSplit", "{service: shop, backends: [{service: v1, weight: -1}]}", "greater than or equal to 0"),
    ("TrafficSplit", "{service: Shop!, backends: [{service: v1, weight: 1}]}", "spec.service"),
    (
        "TrafficSplit",
        "{service: shop, backends: [{service: v1, weight: 1}, {service: v1, weight: 2}]}",
        "Duplicate value",
    ),
    (
        "TrafficSplit",
        "{service: shop, backends: [{service: v1, weight: 1}], matches: [{kind: TCPRoute, name: t}]}",
        'supported values: "HTTPRouteGroup"',
    ),
    ("MeshConfig", "{sidecar: {logLevel: loud}}", "spec.sidecar.logLevel"),
    ("MeshConfig", "{sidecar: {tlsMinProtocolVersion: SSLv3}}", "spec.sidecar.tlsMinProtocolVersion"),
    ("MeshConfig", "{traffic: {enablePermissiveTrafficPolicyMode: yes please}}", "must be of type boolean"),
    ("MeshConfig", "{traffic: {outboundPortExclusionList: [0]}}", "spec.traffic.outboundPortExclusionList[0]"),
    ("MeshConfig", "{traffic: {outboundIPRangeExclusionList: [10.0.0.1]}}", "outboundIPRangeExclusionList[0]"),
    ("MeshConfig", "{certificate: {serviceCertValidityDuration: a day}}", "serviceCertValidityDuration"),
    ("MeshConfig", "{traffic: {enablePermissive: true}}", 'unknown field "spec.traffic.enablePermissive"'),
    (
        "IngressBackend",
        "{backends: [{name: a, port: {number: 80, protocol: tcp}}], sources: [{kind: IPRange, name: 10.0.0.0/8}]}",
        "spec.backends[0].port.protocol",
    ),
    (
        "IngressBackend",
        "{backends: [{name: a, port: {number: 80, protocol: http}}], sources: [{kind: Service, name: a}]}",
        "a Service needs its namespace",
    ),
    (
        "IngressBackend",
        "{backends: [{name: a, port: {number: 80, protocol: http}}], sources: [{kind: IPRange, name: 10.0.0.1}]}",
        "expected an address range such as 10.0.0.0/8",
    ),
]
BAD_ELSEWHERE = [
    (
        "Egress",
        f"{{sources: [{{{ACCOUNT}}}], ports: [{{number: 80, protocol: http}}], "
        "matches: [{apiGroup: v1, kind: HTTPRouteGroup, name: a}]}",
        "an HTTPRouteGroup is of specs.smi-spec.io/v1alpha4",
    ),
    ("Egress", f"{{sources: [{{{ACCOUNT}}}], ports: [{{number: 80, protocol: ftp}}]}}", "spec.ports[0].protocol"),
    ("Retry", f"{{source: {{{ACCOUNT}}}, destinations: [], retryPolicy: {{retryOn: 5xx}}}}", "spec.destinations"),
    ("UpstreamTrafficSetting", "{host: a, rateLimit: {local: {tcp: {connections: 0, unit: day}}}}", "connections"),
    (
        "UpstreamTrafficSetting",
        "{host: a, rateLimit: {global: {http: {domain: d, rateLimitService: {host: h, port: 1}, "
        "descriptors: [{entries: [{genericKey: {value: v}, remoteAddress: {}}]}]}}}}",
        "must have at most 1",
    ),
    ("MeshRootCertificate", "{role: active, provider: {}}", "exactly one of tresor, vault and certManager"),
    ("ExtensionService", "{host: a, port: 0}", "spec.port"),
    ("Telemetry", "{accessLog: {format: ''}}", "spec.accessLog.format"),
]


@pytest.mark.parametrize(("kind", "spec", "words"), BAD)
def test_what_the_mesh_would_not_read_is_refused_in_words(
    kind: str, spec: str, words: str, server: ApiServer, kinds: Kinds
) -> None:
    found = policy(kind, spec)
    (raw,) = read(yaml.safe_dump(found), "bad").documents
    assert any(problem.severity == "error" for problem in parse(raw).problems)
    with pytest.raises(Refused) as refused:
        check(server, kinds, found)
    assert words in str(refused.value)


@pytest.mark.parametrize(("kind", "spec", "words"), BAD_ELSEWHERE)
def test_kinds_that_are_not_enforced_yet_are_judged_too(
    kind: str, spec: str, words: str, server: ApiServer, kinds: Kinds
) -> None:
    with pytest.raises(Refused) as refused:
        check(server, kinds, policy(kind, spec))
    assert words in str(refused.value)


def test_a_split_keeps_its_matches_whichever_version_is_asked(server: ApiServer, kinds: Kinds) -> None:
    spec = "{service: shop, backends: [{service: v1, weight: 1}], matches: [{kind: HTTPRouteGroup, name: t}]}"
    create(server, kinds, policy("TrafficSplit", spec, "v1alpha4"))
    old = "/apis/split.smi-spec.io/v1alpha2/namespaces/crds/trafficsplits/one"
    seen = ask(server, "GET", old)
    assert seen["spec"]["matches"] == [{"kind": "HTTPRouteGroup", "name": "t"}]
    with pytest.raises(Refused, match="v1alpha2 has no matches"):  # and does not drop them
        ask(server, "PUT", old, {**seen, "spec": {**seen["spec"], "service": "other"}})
    ask(server, "DELETE", old)


def test_old_versions_are_served_and_warn(server: ApiServer, kinds: Kinds) -> None:
    target = f"{{destination: {{{ACCOUNT}}}, sources: [{{{ACCOUNT}}}], rules: [{{kind: TCPRoute, name: r}}]}}"
    check(server, kinds, policy("TrafficTarget", target, "v1alpha2"))
    check(server, kinds, policy("MeshConfig", "{traffic: {enableEgress: true}}", "v1alpha1"))
    with_port = target.replace("destination: {", "destination: {port: 80, ")
    with pytest.raises(Refused, match="a destination has no port since v1alpha3"):
        check(server, kinds, policy("TrafficTarget", with_port, "v1alpha2"))


@pytest.mark.parametrize("kind", sorted(POLICY_KINDS))
def test_the_mesh_says_at_the_object_what_it_made_of_it(kind: str, server: ApiServer, kinds: Kinds) -> None:
    spec = next(spec for named, spec in (*GOOD, *GOOD_ELSEWHERE) if named == kind)
    found = {**policy(kind, spec), "metadata": {"name": "said", "namespace": "crds"}}
    path = f"{kinds.path(found)}/said"
    made = create(server, kinds, {**found, "status": {"currentStatus": "forged"}})
    assert "status" not in made  # whoever writes a policy does not write what came of it
    status = {"currentStatus": "committed", "reason": "why", "observedGeneration": 1}
    merge = "application/merge-patch+json"
    ask(server, "PATCH", f"{path}/status", {"status": status, "spec": {"service": "else"}}, content=merge)
    seen = ask(server, "GET", path)
    assert (seen["status"], seen.get("spec")) == (status, made.get("spec"))
    table = ask(server, "GET", path, accept=TABLE)
    columns = [each["name"] for each in table["columnDefinitions"]]
    row = dict(zip(columns, table["rows"][0]["cells"], strict=True))
    assert (row["Status"], row["Reason"]) == ("committed", "why")
    ask(server, "DELETE", path)


def test_a_list_of_splits_shows_what_goes_where(server: ApiServer, kinds: Kinds) -> None:
    spec = "{service: shop, backends: [{service: v1, weight: 90}, {service: v2, weight: 10}]}"
    create(server, kinds, policy("TrafficSplit", spec))
    path = "/apis/split.smi-spec.io/v1alpha4/namespaces/crds/trafficsplits/one"
    table = ask(server, "GET", path, accept=TABLE)
    assert table["rows"][0]["cells"][:3] == [
        "one",
        "shop",
        '[{"service":"v1","weight":90},{"service":"v2","weight":10}]',
    ]
    ask(server, "DELETE", path)
