"""IngressBackend: what it means, what admits nobody and says so, and what is a mistake."""

import pytest

from osm.contracts.names import ServiceName
from osm.contracts.policy import IngressBackend, IngressPort, IngressTls, SourceRange, SourceService
from osm.manifests import Parsed
from osm.manifests.yaml import read
from osm.smi import AnyPolicy, parse

API = "policy.openservicemesh.io/v1alpha1"
BACKENDS = "[{name: web, port: {number: 8080, protocol: http}}]"
RANGE = "[{kind: IPRange, name: 10.0.0.0/8}]"
GATEWAY = "ingress-nginx.ingress-nginx.cluster.local"
PRINCIPAL = f"[{{kind: AuthenticatedPrincipal, name: {GATEWAY}}}]"


def https(more: str = "") -> str:
    return f"[{{name: web, port: {{number: 8080, protocol: https}}{more}}}]"


def parsed(backends: str = BACKENDS, sources: str = RANGE, more: str = "") -> Parsed[AnyPolicy]:
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


def sentences(found: Parsed[AnyPolicy]) -> list[str]:
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
    ("tls", "meant"),
    [
        ("", IngressTls(service="web", target_port=8080)),
        (", tls: {skipClientCertValidation: false}", IngressTls(service="web", target_port=8080)),
        (
            ", tls: {sniHosts: ['*.example.com', SHOP.example.com, shop.example.com]}",
            IngressTls(service="web", target_port=8080, hosts=("*.example.com", "shop.example.com")),
        ),
    ],
)
def test_https_is_for_those_whose_certificate_has_a_name_that_is_listed(tls: str, meant: IngressTls) -> None:
    uri = "spiffe://cluster.local/ns/edge/sa/envoy"
    found = parsed(https(tls), PRINCIPAL[:-1] + f", {{kind: AuthenticatedPrincipal, name: '{uri}'}}]")
    assert found.problems == ()
    assert found.object == IngressBackend(
        namespace="shop", name="it", backends=(), sources=(), tls_backends=(meant,), principals=(GATEWAY, uri)
    )


def test_https_without_a_principal_admits_nobody_and_says_so() -> None:
    assert sentences(parsed(https())) == [
        "warning spec.backends[0].tls: nobody is admitted: with client certificates validated, expected a source of "
        "kind AuthenticatedPrincipal, found none"
    ]


def test_https_that_asks_for_no_certificate_needs_no_principal() -> None:
    found = parsed(https(", tls: {skipClientCertValidation: true}"))
    assert found.problems == ()
    assert isinstance(found.object, IngressBackend)
    assert found.object.tls_backends == (IngressTls(service="web", target_port=8080, any_client=True),)


@pytest.mark.parametrize(
    ("sources", "where"),
    [(PRINCIPAL, "from anywhere"), (PRINCIPAL[:-1] + ", " + RANGE[1:], "from the other sources' addresses")],
)
def test_a_principal_that_nobody_asks_for_is_told(sources: str, where: str) -> None:
    assert sentences(parsed(https(", tls: {skipClientCertValidation: true}"), sources)) == [
        "warning spec.backends[0].tls.skipClientCertValidation: no certificate is asked for, so whoever calls "
        f"{where} is admitted, AuthenticatedPrincipal or not"
    ]


def test_over_http_a_principal_admits_nobody_and_says_so() -> None:
    found = parsed(sources=PRINCIPAL)
    assert sentences(found) == [
        "warning spec.backends[0].port.protocol: nobody is admitted over http, where no certificate is shown: add a "
        "source of kind Service or IPRange"
    ]
    assert isinstance(found.object, IngressBackend)
    assert found.object.sources == ()


@pytest.mark.parametrize(("tls", "told"), [("{skipClientCertValidation: false}", 0), ("{sniHosts: [a.b]}", 1)])
def test_http_is_no_tls_whatever_is_said_of_it(tls: str, told: int) -> None:
    """OSM's own client writes an empty `tls` beside http."""
    found = parsed(f"[{{name: web, port: {{number: 8080, protocol: HTTP}}, tls: {tls}}}]")
    assert (
        sentences(found)
        == ["warning spec.backends[0].tls: this field has no effect with protocol http, which is no TLS"][:told]
    )
    assert isinstance(found.object, IngressBackend)
    assert found.object.backends == (IngressPort(service="web", target_port=8080),)
    assert found.object.tls_backends == ()


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
            https(", tls: {sniHosts: [shop.example.com, shop_.example.com]}"),
            PRINCIPAL,
            "spec.backends[0].tls.sniHosts[1]: expected a host name such as shop.example.com or *.example.com, "
            'found "shop_.example.com"',
        ),
        (
            https(", tls: {sniHosts: ['*']}"),
            PRINCIPAL,
            "spec.backends[0].tls.sniHosts[0]: expected a host name such as shop.example.com or *.example.com, "
            'found "*"',
        ),
        *(
            (
                https(),
                f"[{{kind: AuthenticatedPrincipal, name: '{name}'}}]",
                "spec.sources[0].name: expected a certificate's DNS name such as "
                "ingress-nginx.ingress-nginx.cluster.local, or a URI such as "
                f'spiffe://cluster.local/ns/ingress-nginx/sa/ingress-nginx, found "{name}"',
            )
            for name in ("*", "*.edge.local", "spiffe://a.b/envoy/edge", "spiffe://a.b/ns/c/sa/d/proxy/e", "A.b")
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
