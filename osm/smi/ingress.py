"""IngressBackend (OSM v1alpha1): who may call a service from outside the mesh.

Sources that are a Service or a range say where callers are, over HTTP and HTTPS; those that are a principal, whose
certificate they show, over HTTPS alone. A backend of which that leaves nobody is accepted, and a warning says so.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Literal

from osm.contracts.names import DnsLabel, DnsName, Port, ServiceName, SpiffeId
from osm.contracts.policy import IngressBackend, IngressPort, IngressTls, SourceRange, SourceService
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.naming import pattern
from osm.manifests.wording import LABEL, shown
from osm.smi.shape import Object, ordered, repeated

_LABEL = pattern(DnsLabel)

_HOST = re.compile(r"(?:[*]\.)?[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
"""What Envoy chooses a chain by: a name of DNS, or `*.` for all below one (SNI itself is never a pattern)."""

_DNS_NAME_MAX = 253


class BackendPort(Fields, frozen=True, kw_only=True):
    """A container port, and what callers speak to it."""

    number: Port
    protocol: str


class Tls(Fields, frozen=True, kw_only=True):
    """How a sidecar serves TLS to callers from outside."""

    skip_client_cert_validation: bool = False
    sni_hosts: tuple[str, ...] = ()


class Backend(Fields, frozen=True, kw_only=True):
    """A service of the namespace."""

    name: DnsLabel
    port: BackendPort
    tls: Tls | None = None


class Source(Fields, frozen=True, kw_only=True):
    """Who may call."""

    kind: Literal["Service", "IPRange", "AuthenticatedPrincipal"]
    name: str
    namespace: DnsLabel | None = None


class MatchRef(Fields, frozen=True, kw_only=True):
    """Of no effect, in OSM as here."""

    kind: str
    name: DnsName
    api_group: str | None = None


class Spec(Fields, frozen=True, kw_only=True):
    """What an IngressBackend says."""

    backends: tuple[Backend, ...] = ()
    sources: tuple[Source, ...] = ()
    matches: tuple[MatchRef, ...] = ()


class Document(Object, frozen=True, kw_only=True):
    """An IngressBackend as written."""

    spec: Spec


def ingress_backend(raw: RawDocument, spec: Spec) -> tuple[IngressBackend, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    http = (each for each in spec.backends if not _is_https(each))
    https = (each for each in spec.backends if _is_https(each))
    principals = {each.name for each in spec.sources if each.kind == "AuthenticatedPrincipal"}
    found = IngressBackend(
        namespace=raw.namespace,
        name=raw.name,
        backends=tuple(sorted({IngressPort(service=each.name, target_port=each.port.number) for each in http})),
        sources=ordered(meant for each in spec.sources if (meant := _source(each)) is not None),
        tls_backends=tuple(sorted({_over_tls(each) for each in https})),
        principals=tuple(sorted(principals)),
    )
    problems = (_backend_problems, _source_problems, _nobody_problems, _match_problems)
    return found, tuple(problem for find in problems for problem in find(raw, spec))


def _is_https(backend: Backend) -> bool:
    return backend.port.protocol.lower() == "https"


def _over_tls(backend: Backend) -> IngressTls:
    tls = backend.tls or Tls()
    return IngressTls(
        service=backend.name,
        target_port=backend.port.number,
        hosts=tuple(sorted({host.lower() for host in tls.sni_hosts})),
        any_client=tls.skip_client_cert_validation,
    )


def _source(source: Source) -> SourceService | SourceRange | None:
    if source.kind == "Service" and source.namespace is not None:
        return SourceService(service=ServiceName(source.namespace, source.name))
    if source.kind == "IPRange" and _is_range(source.name):
        return SourceRange(cidr=str(ip_network(source.name, strict=False)))
    return None


def _backend_problems(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    if not spec.backends:
        yield raw.problem("spec.backends", "expected at least one backend, found none")
    for index, backend in enumerate(spec.backends):
        field, protocol = f"spec.backends[{index}]", backend.port.protocol.lower()
        if protocol not in ("http", "https"):
            what = f"expected one of http, https, found {shown(backend.port.protocol)}"
            yield raw.problem(f"{field}.port.protocol", what)
        elif protocol == "http" and backend.tls not in (None, Tls()):
            yield raw.problem(f"{field}.tls", "this field has no effect with protocol http, which is no TLS", "warning")
        for at, host in enumerate(backend.tls.sni_hosts if backend.tls else ()):
            if len(host) > _DNS_NAME_MAX or not _HOST.fullmatch(host.lower()):
                what = f"expected a host name such as shop.example.com or *.example.com, found {shown(host)}"
                yield raw.problem(f"{field}.tls.sniHosts[{at}]", what)
    named = ((f"spec.backends[{at}].name", f"{b.name}:{b.port.number}") for at, b in enumerate(spec.backends))
    yield from repeated(raw, named)


def _source_problems(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    if not spec.sources:
        yield raw.problem("spec.sources", "expected at least one source, found none: nobody would be admitted")
    for index, source in enumerate(spec.sources):
        field = f"spec.sources[{index}]"
        if source.kind == "Service" and source.namespace is None:
            yield raw.problem(f"{field}.namespace", "this field is required and not there")
        if source.kind == "Service" and not _LABEL.fullmatch(source.name):
            yield raw.problem(f"{field}.name", f"expected {LABEL}, found {shown(source.name)}")
        if source.kind == "IPRange" and not _is_range(source.name):
            what = f"expected an address range such as 10.0.0.0/8, found {shown(source.name)}"
            yield raw.problem(f"{field}.name", what)
        if source.kind == "AuthenticatedPrincipal" and not _is_principal(source.name):
            what = (
                "expected a certificate's DNS name such as ingress-nginx.ingress-nginx.cluster.local, or a URI such as "
                f"spiffe://cluster.local/ns/ingress-nginx/sa/ingress-nginx, found {shown(source.name)}"
            )
            yield raw.problem(f"{field}.name", what)


def _nobody_problems(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    """Of what is right in itself and comes to something else than a reader may expect."""
    by_name = any(each.kind == "AuthenticatedPrincipal" for each in spec.sources)
    by_address = any(each.kind != "AuthenticatedPrincipal" for each in spec.sources)
    for index, backend in enumerate(spec.backends):
        field, skip = f"spec.backends[{index}]", bool(backend.tls and backend.tls.skip_client_cert_validation)
        if not _is_https(backend) and by_name and not by_address:
            what = (
                "nobody is admitted over http, where no certificate is shown: add a source of kind Service or IPRange"
            )
            yield raw.problem(f"{field}.port.protocol", what, "warning")
        elif _is_https(backend) and not skip and not by_name:
            what = (
                "nobody is admitted: with client certificates validated, expected a source of kind "
                "AuthenticatedPrincipal, found none"
            )
            yield raw.problem(f"{field}.tls", what, "warning")
        elif _is_https(backend) and skip and by_name:
            where = "from the other sources' addresses" if by_address else "from anywhere"
            what = f"no certificate is asked for, so whoever calls {where} is admitted, AuthenticatedPrincipal or not"
            yield raw.problem(f"{field}.tls.skipClientCertValidation", what, "warning")


def _match_problems(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    if spec.matches:
        yield raw.problem("spec.matches", "matches of an IngressBackend are accepted and not enforced yet", "warning")


def _is_range(text: str) -> bool:
    """Without a zone (RFC 4007): an interface of one machine means nothing to another."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text and "%" not in text


def _is_principal(name: str) -> bool:
    """Of a workload's certificate, or of a gateway's: never a pattern, nor what a proxy shows to xds alone."""
    spiffe = SpiffeId.parse(name)
    if spiffe is not None:
        return spiffe.proxy_id is None
    return len(name) <= _DNS_NAME_MAX and not name.startswith("*") and _HOST.fullmatch(name) is not None
