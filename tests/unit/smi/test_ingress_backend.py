"""IngressBackend: what is enforced, what is said to come later, and what is a mistake."""

import pytest

from osm.contracts.names import ServiceName
from osm.contracts.policy import IngressBackend, IngressPort, SourceRange, SourceService
from osm.manifests import Parsed
from osm.manifests.yaml import read
from osm.smi import Policy, parse

API = "policy.openservicemesh.io/v1alpha1"
BACKENDS = "[{name: web, port: {number: 8080, protocol: http}}]"
RANGE = "[{kind: IPRange, name: 10.0.0.0/8}]"


def parsed(backends: str = BACKENDS, sources: str = RANGE, more: str = "") -> Parsed[Policy]:
    text = f"""\
apiVersion: {API}
kind: IngressBackend
metadata: {{name: it, namespace: shop}}
spec:
  backends: {backends}
  sources: {sources}
  {more}
"""
    reading = read(text, "f.yaml")
    assert reading.problems == ()
    return parse(reading.documents[0])


def sentences(found: Parsed[Policy]) -> list[str]:
    return [f"{each.severity} {each.field}: {each.what}" for each in found.problems]


def test_services_and_ranges_are_sources() -> None:
    found = parsed(sources="[{kind: Service, name: nginx, namespace: edge}, {kind: IPRange, name: 10.1.2.3/8}]")
    assert found.problems == ()
    assert found.object == IngressBackend(
        namespace="shop",
        name="it",
        backends=(IngressPort(service="web", target_port=8080),),
        sources=(SourceService(service=ServiceName("edge", "nginx")), SourceRange(cidr="10.0.0.0/8")),
    )


@pytest.mark.parametrize(
    ("backends", "field"),
    [
        ("[{name: web, port: {number: 8080, protocol: https}}]", "spec.backends[0].port.protocol"),
        (
            "[{name: web, port: {number: 8080, protocol: http}, tls: {skipClientCertValidation: true}}]",
            "spec.backends[0].tls",
        ),
    ],
)
def test_tls_is_accepted_and_admits_nobody(backends: str, field: str) -> None:
    found = parsed(backends)
    what = "TLS between an ingress and a sidecar is accepted and not enforced yet: it admits nobody"
    assert sentences(found) == [f"warning {field}: {what}"]
    assert isinstance(found.object, IngressBackend)
    assert found.object.backends == ()


def test_a_principal_is_accepted_and_admits_nobody() -> None:
    found = parsed(sources="[{kind: AuthenticatedPrincipal, name: nginx.edge.cluster.local}]")
    assert sentences(found) == [
        "warning spec.sources[0].kind: AuthenticatedPrincipal is accepted and not enforced yet: it admits nobody"
    ]
    assert isinstance(found.object, IngressBackend)
    assert found.object.sources == ()


def test_a_mistake_is_told_before_any_number_of_warnings() -> None:
    later = [f"{{name: web-{at}, port: {{number: 8080, protocol: https}}}}" for at in range(60)]
    found = parsed(f"[{', '.join(later)}, {{name: web, port: {{number: 8080, protocol: tcp}}}}]")
    assert found.object is None
    assert found.problems[0].field == "spec.backends[60].port.protocol"
    assert found.problems[-1].what == "11 more problems are not listed"


def test_matches_are_said_to_have_no_effect() -> None:
    found = parsed(more="matches: [{kind: HTTPRouteGroup, name: some}]")
    assert sentences(found) == ["warning spec.matches: matches of an IngressBackend are accepted and not enforced yet"]


@pytest.mark.parametrize(
    ("backends", "sources", "sentence"),
    [
        ("[]", RANGE, "spec.backends: expected at least one backend, found none"),
        (BACKENDS, "[]", "spec.sources: expected at least one source, found none: nobody would be admitted"),
        (
            "[{name: web, port: {number: 8080, protocol: tcp}}]",
            RANGE,
            'spec.backends[0].port.protocol: expected one of http, https, found "tcp"',
        ),
        (
            BACKENDS,
            "[{kind: IPRange, name: 10.0.0.1}]",
            'spec.sources[0].name: expected an address range such as 10.0.0.0/8, found "10.0.0.1"',
        ),
        (
            BACKENDS,
            "[{kind: IPRange, name: 'fe80::%eth0/64'}]",
            'spec.sources[0].name: expected an address range such as 10.0.0.0/8, found "fe80::%eth0/64"',
        ),
        (
            BACKENDS,
            "[{kind: Service, name: Edge_Proxy, namespace: edge}]",
            "spec.sources[0].name: expected a name of at most 63 lower-case letters, digits and `-`, "
            'found "Edge_Proxy"',
        ),
        (
            BACKENDS,
            "[{kind: Service, name: nginx}]",
            "spec.sources[0].namespace: this field is required and not there",
        ),
        (
            BACKENDS,
            "[{kind: Pod, name: nginx}]",
            'spec.sources[0].kind: expected one of AuthenticatedPrincipal, IPRange, Service, found "Pod"',
        ),
        (
            "[{name: web, port: {number: 80, protocol: http}}, {name: web, port: {number: 80, protocol: http}}]",
            RANGE,
            'spec.backends[1].name: "web:80" is there twice, first as spec.backends[0].name at line 5',
        ),
    ],
)
def test_a_mistake_is_told_and_admits_nobody(backends: str, sources: str, sentence: str) -> None:
    found = parsed(backends, sources)
    assert f"error {sentence}" in sentences(found)
    assert found.object is None
