"""IngressBackend (OSM v1alpha1): who may call a service from outside the mesh, without a certificate of it.

HTTP from a Service's pods or from an address range is enforced. A backend that asks for TLS at the sidecar, and a
source that is a certificate's name, are accepted and said not to be enforced yet: they admit nobody.
"""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Literal

from osm.contracts.names import DnsLabel, DnsName, Port, ServiceName
from osm.contracts.policy import IngressBackend, IngressPort, SourceRange, SourceService
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.naming import pattern
from osm.manifests.wording import LABEL, shown
from osm.smi.shape import Object, ordered, repeated

_LABEL = pattern(DnsLabel)

LATER = "is accepted and not enforced yet: it admits nobody"


class BackendPort(Fields, frozen=True, kw_only=True):
    """A container port, and what callers speak to it."""

    number: Port
    protocol: str


class Tls(Fields, frozen=True, kw_only=True):
    """How a sidecar would serve TLS to callers from outside."""

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
    http = (each for each in spec.backends if each.port.protocol.lower() == "http" and each.tls is None)
    found = IngressBackend(
        namespace=raw.namespace,
        name=raw.name,
        backends=tuple(sorted({IngressPort(service=each.name, target_port=each.port.number) for each in http})),
        sources=ordered(meant for each in spec.sources if (meant := _source(each)) is not None),
    )
    return found, (*_backend_problems(raw, spec), *_source_problems(raw, spec), *_match_problems(raw, spec))


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
        elif protocol == "https" or backend.tls is not None:
            where = f"{field}.port.protocol" if protocol == "https" else f"{field}.tls"
            yield raw.problem(where, f"TLS between an ingress and a sidecar {LATER}", "warning")
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
        if source.kind == "AuthenticatedPrincipal":
            yield raw.problem(f"{field}.kind", f"AuthenticatedPrincipal {LATER}", "warning")


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
