"""A policy that is wrong, odd or not ours: the exact sentence and line that its author reads."""

from typing import Any

import pytest

from osm.manifests import RawDocument
from osm.smi import POLICY_KINDS, is_policy, parse
from tests.unit.smi.policy_text import APIS, TARGET, document, parsed, sentences

DESTINATION = "destination: {kind: ServiceAccount, name: store, namespace: shop}\n"
SOURCES = "sources: [{kind: ServiceAccount, name: buyer, namespace: buyers}]\n"
RULES = "rules: [{kind: TCPRoute, name: sql}]\n"
ACCOUNT = "{kind: ServiceAccount, name: store, namespace: shop}"
ASKS = "traffic:\n  inboundExternalAuthorization:\n    enable: true\n"

GATEWAY = """\
certificate:
  ingressGateway:
    subjectAltNames: [{}]
    validityDuration: {}
    secret: {{name: {}, namespace: {}}}
"""

BAD: list[tuple[str, str, str]] = [
    (
        "TrafficTarget",
        DESTINATION.replace("shop", "other") + SOURCES + RULES,
        '1 error spec.destination.namespace: expected "shop", the TrafficTarget\'s own namespace, found "other"',
    ),
    (
        "TrafficTarget",
        "destination: {kind: ServiceAccount, name: store}\n" + SOURCES + RULES,
        '1 error spec.destination.namespace: expected "shop", the TrafficTarget\'s own namespace, found nothing',
    ),
    (
        "TrafficTarget",
        DESTINATION.replace("}", ", port: 80}") + SOURCES + RULES,
        "1 error spec.destination.port: a destination has no port since v1alpha3; "
        "name the port in a TCPRoute and refer to it in rules",
    ),
    (
        "TrafficTarget",
        DESTINATION + RULES,
        "0 error spec.sources: expected at least one source, found none: nobody would be allowed anything",
    ),
    (
        "TrafficTarget",
        DESTINATION + SOURCES + "rules: []",
        "3 error spec.rules: expected at least one rule, found none: refer to an HTTPRouteGroup or a TCPRoute",
    ),
    (
        "TrafficTarget",
        DESTINATION + RULES + "sources:\n- kind: ServiceAccount\n  name: buyer",
        "4 error spec.sources[0].namespace: this field is required and not there",
    ),
    (
        "TrafficTarget",
        DESTINATION + RULES + "sources:\n- kind: User\n  name: buyer",
        '4 error spec.sources[0].kind: expected ServiceAccount, found "User"',
    ),
    (
        "TrafficTarget",
        DESTINATION + SOURCES + "rules:\n- kind: TCPRoute\n  name: a\n- name: b\n  kind: UDPRoute",
        '7 error spec.rules[1].kind: expected one of HTTPRouteGroup, TCPRoute, found "UDPRoute"',
    ),
    (
        "TrafficTarget",
        DESTINATION + SOURCES + "rules:\n- kind: HTTPRouteGroup\n  nmae: a",
        "5 error spec.rules[0].nmae: unknown field; allowed are kind, matches, name (did you mean `name`?)",
    ),
    (
        "TrafficTarget",
        DESTINATION + SOURCES + "rules:\n- kind: HTTPRouteGroup\n",
        "4 error spec.rules[0].name: this field is required and not there",
    ),
    (
        "TrafficTarget",
        "destination: {kind: ServiceAccount, name: Store_1, namespace: shop}\n" + SOURCES + RULES,
        "1 error spec.destination.name: expected a name of at most 253 lower-case letters, digits, `-` and `.`, "
        'found "Store_1"',
    ),
    (
        "TrafficTarget",
        DESTINATION + SOURCES + "rules: [{kind: HTTPRouteGroup, name: g, matches: []}]",
        "3 warning spec.rules[0].matches: an empty list allows every match of g, as if the field were not there",
    ),
    (
        "TrafficTarget",
        DESTINATION + SOURCES + "rules: [{kind: TCPRoute, name: g, matches: [a]}]",
        "3 warning spec.rules[0].matches: a TCPRoute has no named matches: this is ignored",
    ),
    ("HTTPRouteGroup", "matches: []", "1 error spec.matches: expected at least one match, found none"),
    (
        "HTTPRouteGroup",
        "matches:\n- name: a\n- name: b\n- name: a",
        '4 error spec.matches[2].name: "a" is there twice, first as spec.matches[0].name at line 6',
    ),
    (
        "HTTPRouteGroup",
        "matches:\n- name: a\n  pathRegex: /(?!admin)",
        '3 error spec.matches[0].pathRegex: "/(?!admin)" is no regular expression for Envoy: '
        "lookahead `(?!` at character 2; RE2 has none",
    ),
    (
        "HTTPRouteGroup",
        "matches:\n- name: a\n  pathRegex: '['",
        '3 error spec.matches[0].pathRegex: "[" is no regular expression for Envoy: `[` without `]` at character 1',
    ),
    (
        "HTTPRouteGroup",
        "matches:\n- name: a\n  methods:\n  - GET\n  - FETCH",
        '5 error spec.matches[0].methods[1]: "FETCH" is no method; '
        "allowed are *, CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT, TRACE",
    ),
    (
        "HTTPRouteGroup",
        "matches:\n- name: a\n  headers:\n  - x: .*\n  - y: '(a'",
        '5 error spec.matches[0].headers[1].y: "(a" is no regular expression for Envoy: '
        "missing ), unterminated subpattern at character 1",
    ),
    (
        "HTTPRouteGroup",
        "matches:\n- name: a\n  headers: {':path': x}",
        '3 error spec.matches[0].headers.:path: ":path" is no header name; paths and methods have own fields',
    ),
    (
        "HTTPRouteGroup",
        "matches:\n- name: a\n  headers:\n  - x-n: 5",
        "4 error spec.matches[0].headers[0].x-n: expected text, found 5; put it in quotes",
    ),
    (
        "HTTPRouteGroup",
        "matches:\n- name: a\n  pathRegexp: /",
        "3 error spec.matches[0].pathRegexp: unknown field; "
        "allowed are headers, methods, name, pathRegex (did you mean `pathRegex`?)",
    ),
    (
        "HTTPRouteGroup",
        "matches:\n- name: a\n  methods: GET",
        '3 error spec.matches[0].methods: expected a list, found "GET"',
    ),
    ("TCPRoute", "matches: {ports: [80, 0]}", "1 error spec.matches.ports[1]: expected a whole number >= 1, found 0"),
    (
        "TCPRoute",
        'matches:\n  ports:\n  - "80"',
        '3 error spec.matches.ports[0]: expected a whole number, found "80"; remove the quotes',
    ),
    (
        "TrafficSplit",
        "service: web.other\nbackends: [{service: v1, weight: 1}]",
        '1 error spec.service: "web.other" is in another namespace; a split is for services of its own, "shop"',
    ),
    (
        "TrafficSplit",
        "service: web\nbackends:\n- {service: v1.shop.example.com, weight: 1}",
        '3 error spec.backends[0].service: "v1.shop.example.com" is no service name; '
        "write the bare name or v1.shop.svc.cluster.local",
    ),
    (
        "TrafficSplit",
        "service: web.\nbackends: [{service: v1, weight: 1}]",
        '1 error spec.service: "web." is no service name; write the bare name or web.shop.svc.cluster.local',
    ),
    (
        "TrafficSplit",
        "service: web\nbackends:\n- {service: v1, weight: 1}\n- {service: v1.shop, weight: 2}",
        '4 error spec.backends[1].service: "v1" is there twice, first as spec.backends[0].service at line 7',
    ),
    ("TrafficSplit", "service: web", "0 error spec.backends: expected at least one backend, found none"),
    (
        "TrafficSplit",
        "service: web\nbackends: [{service: v1, weight: 0}]",
        "2 error spec.backends: expected a weight above 0, found none: no backend would get traffic",
    ),
    (
        "TrafficSplit",
        "service: web\nbackends:\n- service: v1\n  weight: -1",
        "4 error spec.backends[0].weight: expected a whole number >= 0, found -1",
    ),
    (
        "TrafficSplit",
        "service: web\nbackends:\n- service: v1\n  weight: 100m",
        '4 error spec.backends[0].weight: expected a whole number, found "100m"',
    ),
    (
        "TrafficSplit",
        "service: web\nbackends: [{service: web, weight: 1}]",
        '2 warning spec.backends[0].service: "web" is the split\'s own service: '
        "its share goes to what that service selects",
    ),
    (
        "TrafficSplit",
        "service: web\nmatches: [{kind: HTTPRouteGroup, name: g, apiGroup: x}]\nbackends: [{service: a, weight: 1}]",
        '2 error spec.matches[0].apiGroup: expected specs.smi-spec.io, found "x"',
    ),
    (
        "MeshConfig",
        "sidecar: {logLevel: loud}",
        "1 error spec.sidecar.logLevel: expected one of trace, debug, info, warning, warn, error, critical, off, "
        'found "loud"',
    ),
    (
        "MeshConfig",
        "sidecar:\n  tlsMinProtocolVersion: TLSv1_3\n  tlsMaxProtocolVersion: TLSv1_2",
        "2 error spec.sidecar.tlsMinProtocolVersion: expected at most tlsMaxProtocolVersion, TLSv1_2, found TLSv1_3",
    ),
    (
        "MeshConfig",
        "sidecar: {tlsMaxProtocolVersion: '1.3'}",
        "1 error spec.sidecar.tlsMaxProtocolVersion: expected one of TLS_AUTO, TLSv1_0, TLSv1_1, TLSv1_2, TLSv1_3, "
        'found "1.3"',
    ),
    (
        "MeshConfig",
        "certificate:\n  serviceCertValidityDuration: 1 day",
        '2 error spec.certificate.serviceCertValidityDuration: expected a duration such as 24h or 1h30m, found "1 day"',
    ),
    (
        "MeshConfig",
        "certificate:\n  serviceCertValidityDuration: 0s",
        '2 error spec.certificate.serviceCertValidityDuration: expected a duration of at least 1s, found "0s"',
    ),
    (
        "MeshConfig",
        "certificate:\n  serviceCertValidityDuration: 720h",
        '2 warning spec.certificate.serviceCertValidityDuration: "720h" is longer than certmgr grants, '
        "24h unless OSM_CERTMGR_LEAF_LIFETIME_S says otherwise",
    ),
    (
        "MeshConfig",
        "certificate:\n  serviceCertValidityDuration: 30s",
        '2 warning spec.certificate.serviceCertValidityDuration: "30s" is shorter than 10m; '
        "certificates that short are for tests",
    ),
    (
        "MeshConfig",
        "traffic:\n  enableEgress: 'no'",
        '2 error spec.traffic.enableEgress: expected true or false, found "no"; remove the quotes',
    ),
    (
        "MeshConfig",
        "traffic:\n  outboundIPRangeExclusionList: [10.0.0.0/8, 10.0.0.300/8]",
        "2 error spec.traffic.outboundIPRangeExclusionList[1]: expected a range such as 10.0.0.0/8, "
        'found "10.0.0.300/8"',
    ),
    (
        "MeshConfig",
        "traffic:\n  networkInterfaceExclusionList: [e0, 'a b']",
        "2 error spec.traffic.networkInterfaceExclusionList[1]: expected an interface such as eth0 or eth+, "
        'found "a b"',
    ),
    (
        "MeshConfig",
        "sidecar:\n  resources: {limits: {cpu: 1 core}}",
        '2 error spec.sidecar.resources.limits.cpu: expected a quantity such as 100m, found "1 core"',
    ),
    (
        "MeshConfig",
        "traffic:\n  outboundIPRangeExclusionList: [10.0.0.0]",
        '2 error spec.traffic.outboundIPRangeExclusionList[0]: expected a range such as 10.0.0.0/8, found "10.0.0.0"',
    ),
    (
        "MeshConfig",
        "sidecar:\n  resources: {limits: {memory: -5}}",
        "2 error spec.sidecar.resources.limits.memory: expected a quantity such as 100m, found -5.0",
    ),
    (
        "MeshConfig",
        'traffic:\n  networkInterfaceExclusionList: ["eth0\\n"]',
        "2 error spec.traffic.networkInterfaceExclusionList[0]: expected an interface such as eth0 or eth+, "
        'found "eth0\n"',
    ),
    (
        "TrafficTarget",
        TARGET.replace("name: store", 'name: "store\\n"'),
        "1 error spec.destination.name: expected a name of at most 253 lower-case letters, digits, `-` and `.`, "
        'found "store\n"',
    ),
    (
        "MeshConfig",
        f"{ASKS}    port: 9000",
        "2 error spec.traffic.inboundExternalAuthorization.address: expected a host name or an IP address, without "
        "scheme and port, found nothing",
    ),
    (
        "MeshConfig",
        f"{ASKS}    port: 9000\n    address: http://authz:9000",
        "5 error spec.traffic.inboundExternalAuthorization.address: expected a host name or an IP address, without "
        'scheme and port, found "http://authz:9000"',
    ),
    (
        "MeshConfig",
        f"{ASKS}    address: authz",
        "2 error spec.traffic.inboundExternalAuthorization.port: expected a port, 1 to 65535, found nothing",
    ),
    (
        "MeshConfig",
        f"{ASKS}    address: authz\n    port: 9000\n    timeout: 0s",
        "6 error spec.traffic.inboundExternalAuthorization.timeout: expected a duration of more than 0 and at most 1h, "
        'found "0s"',
    ),
    (
        "MeshConfig",
        f"{ASKS}    address: authz\n    port: 9000\n    statPrefix: 'a b'",
        "6 error spec.traffic.inboundExternalAuthorization.statPrefix: expected letters, digits, `_`, `-` and `.`, "
        'found "a b"',
    ),
    (
        "MeshConfig",
        GATEWAY.format("a.b, '*.c'", "24h", "cert", "edge"),
        "3 error spec.certificate.ingressGateway.subjectAltNames[1]: expected a DNS name such as "
        'ingress-nginx.ingress-nginx.cluster.local, found "*.c"',
    ),
    (
        "MeshConfig",
        GATEWAY.format("a.b", "1m", "cert", "edge"),
        "4 error spec.certificate.ingressGateway.validityDuration: expected a duration of at least 10m, such as "
        '24h, found "1m"',
    ),
    (
        "MeshConfig",
        GATEWAY.format("a.b", "48h", "cert", "edge"),
        '4 warning spec.certificate.ingressGateway.validityDuration: "48h" is longer than certmgr grants, 24h '
        "unless OSM_CERTMGR_GATEWAY_LIFETIME_S says otherwise",
    ),
    (
        "MeshConfig",
        GATEWAY.format("a.b", "24h", "Cert", "edge"),
        "5 error spec.certificate.ingressGateway.secret.name: expected a name of at most 253 lower-case letters, "
        'digits, `-` and `.`, found "Cert"',
    ),
    (
        "MeshConfig",
        GATEWAY.format("a.b", "24h", "cert", "e.d"),
        "5 error spec.certificate.ingressGateway.secret.namespace: expected a name of at most 63 lower-case letters, "
        'digits and `-`, found "e.d"',
    ),
    (
        "MeshConfig",
        "featureFlags:\n  enableMeshRootCertificate: true",
        "2 error spec.featureFlags.enableMeshRootCertificate: expected false, found true: MeshRootCertificates are "
        "not read, so a root that one withdraws stays trusted; set it to false: the mesh's root is that of Secret "
        "osm-ca-bundle",
    ),
    (
        "MeshConfig",
        "featureFlags:\n  enableSPIFFE: true",
        "2 warning spec.featureFlags.enableSPIFFE: this field is accepted and has no effect yet",
    ),
    (
        "MeshConfig",
        "traffic:\n  enablePermissiveTrafficPolicy: true",
        "2 error spec.traffic.enablePermissiveTrafficPolicy: unknown field; allowed are enableEgress, "
        "enablePermissiveTrafficPolicyMode, inboundExternalAuthorization, inboundPortExclusionList, "
        "networkInterfaceExclusionList, outboundIPRangeExclusionList, outboundIPRangeInclusionList, "
        "outboundPortExclusionList (did you mean `enablePermissiveTrafficPolicyMode`?)",
    ),
]


@pytest.mark.parametrize(("kind", "spec", "sentence"), BAD)
def test_a_mistake_is_told_in_one_sentence_at_its_line(kind: str, spec: str, sentence: str) -> None:
    found = parsed(kind, spec)
    assert sentences(found) == [sentence]
    assert (found.object is None) == (" error " in sentence)


def test_matches_of_a_split_need_a_version_that_has_them() -> None:
    spec = "service: web\nbackends: [{service: a, weight: 1}]\nmatches: [{kind: HTTPRouteGroup, name: g}]"
    assert sentences(parsed("TrafficSplit", spec, api="split.smi-spec.io/v1alpha2")) == [
        "3 error spec.matches: v1alpha2 has no matches; write apiVersion: split.smi-spec.io/v1alpha4"
    ]


def test_all_mistakes_of_a_document_are_told_at_once() -> None:
    spec = "matches:\n- {name: a, pathRegex: '(', methods: [X, Y]}\n- {name: a}"
    assert [each.field for each in parsed("HTTPRouteGroup", spec).problems] == [
        "spec.matches[1].name",
        "spec.matches[0].pathRegex",
        "spec.matches[0].methods[0]",
        "spec.matches[0].methods[1]",
    ]


HEADS: list[tuple[str, str, str]] = [
    (
        "access.smi-spec.io/v1alpha4",
        "TrafficTarget",
        'error apiVersion: version "v1alpha4" of TrafficTarget is not served; '
        "served are access.smi-spec.io/v1alpha2, access.smi-spec.io/v1alpha3",
    ),
    (
        "access.smi-spec.io/v1alpha3",
        "TraficTarget",
        'error kind: "TraficTarget" is no kind of access.smi-spec.io; '
        "allowed are TrafficTarget (did you mean `TrafficTarget`?)",
    ),
    (
        "specs.smi-spec.io/v1alpha4",
        "UDPRoute",
        'error kind: "UDPRoute" is no kind of specs.smi-spec.io; allowed are HTTPRouteGroup, TCPRoute '
        "(did you mean `TCPRoute`?)",
    ),
    (
        "acess.smi-spec.io/v1alpha3",
        "TrafficTarget",
        'error apiVersion: unknown group "acess.smi-spec.io"; TrafficTarget is of access.smi-spec.io',
    ),
    (
        "example.com/v1",
        "MeshConfig",
        'error apiVersion: unknown group "example.com"; MeshConfig is of config.openservicemesh.io',
    ),
    *(
        (
            f"{group}.openservicemesh.io/v1alpha1",
            kind,
            f"warning kind: {kind} is accepted and not enforced yet: it changes nothing",
        )
        for group, kind in (("config", "MeshRootCertificate"),)
    ),
]


@pytest.mark.parametrize(("api", "kind", "sentence"), HEADS)
def test_what_cannot_be_read_or_enforced_says_what_can(api: str, kind: str, sentence: str) -> None:
    found = parsed(kind, "{whatever: 1}", api=api)
    assert [f"{each.severity} {each.field}: {each.what}" for each in found.problems] == [sentence]
    assert found.object is None


@pytest.mark.parametrize(
    ("api", "kind"),
    [
        ("v1", "Service"),
        ("apps/v1", "Deployment"),
        ("gateway.networking.k8s.io/v1", "TCPRoute"),
        ("telemetry.istio.io/v1", "Telemetry"),
    ],
)
def test_kinds_of_others_are_not_ours(api: str, kind: str) -> None:
    assert not is_policy(document(kind, "{}", api=api))


def test_the_kinds_are_those_of_smi_and_osm() -> None:
    assert {*APIS, "Egress", "MeshRootCertificate"} <= POLICY_KINDS


@pytest.mark.parametrize("body", [{"spec": None}, {"spec": 5}, {"spec": {"matches": None}}, {"metadata": 3}])
@pytest.mark.parametrize("kind", sorted(APIS))
def test_odd_shapes_are_problems_not_exceptions(kind: str, body: dict[str, Any]) -> None:
    raw = RawDocument(
        kind=kind,
        api_version=APIS[kind],
        namespace="shop",
        name="it",
        body={"apiVersion": APIS[kind], "kind": kind, "metadata": {}} | body,
    )
    found = parse(raw)
    assert (found.object is None) == bool(found.problems)
