"""HTTPRouteGroup and TCPRoute (SMI Traffic Specs v1alpha4): kinds of requests and connections, by name.

Headers come as a list of single-key mappings (the CRD) or as one mapping (the specification's text): both are read.
A path is matched as a whole, as OSM does, though SMI anchors it at the start only.
"""

import re
from collections.abc import Iterator

from osm.contracts.names import Port
from osm.contracts.policy import ANY_PATH, HeaderMatch, HttpMatch, HttpRouteGroup, TcpRoute
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.wording import shown
from osm.smi.regex import complaint
from osm.smi.shape import Object, ordered, repeated

METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_AUTHORITY = {"host": ":authority"}
"""Envoy keeps HTTP/1's Host as HTTP/2's :authority."""


class Match(Fields, frozen=True, kw_only=True):
    """One kind of request; what is absent matches anything."""

    name: str
    path_regex: str | None = None
    methods: tuple[str, ...] = ()
    headers: tuple[dict[str, str], ...] | dict[str, str] | None = None


class HttpSpec(Fields, frozen=True, kw_only=True):
    """What an HTTPRouteGroup says."""

    matches: tuple[Match, ...] = ()


class HttpDocument(Object, frozen=True, kw_only=True):
    """An HTTPRouteGroup as written."""

    spec: HttpSpec


class TcpMatches(Fields, frozen=True, kw_only=True):
    """Ports of the destination; none means any."""

    name: str = ""
    ports: tuple[Port, ...] = ()


class TcpSpec(Fields, frozen=True, kw_only=True):
    """What a TCPRoute says."""

    matches: TcpMatches | None = None


class TcpDocument(Object, frozen=True, kw_only=True):
    """A TCPRoute as written; `spec` may be empty or absent: any port."""

    spec: TcpSpec | None = None


def tcp_route(raw: RawDocument, spec: TcpSpec | None) -> tuple[TcpRoute, tuple[Problem, ...]]:
    """The contract; nothing can be wrong with it that its types allow."""
    ports = spec.matches.ports if spec is not None and spec.matches is not None else ()
    return TcpRoute(namespace=raw.namespace, name=raw.name, ports=tuple(sorted(set(ports)))), ()


def http_route_group(raw: RawDocument, spec: HttpSpec) -> tuple[HttpRouteGroup, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    matches = tuple(_match(match) for match in spec.matches)
    group = HttpRouteGroup(namespace=raw.namespace, name=raw.name, matches=matches)
    return group, tuple(_problems(raw, spec))


def _match(match: Match) -> HttpMatch:
    methods = {method.upper() for method in match.methods}
    return HttpMatch(
        name=match.name,
        path_regex=match.path_regex or ANY_PATH,
        methods=() if "*" in methods else tuple(sorted(methods)),
        headers=ordered(HeaderMatch(name=name, regex=regex) for _, name, regex in _headers(match)),
    )


def _headers(match: Match) -> Iterator[tuple[str, str, str]]:
    """Each header with its place below the match: ("headers[0].client-app", name, regex)."""
    many = isinstance(match.headers, tuple)
    for index, headers in enumerate(match.headers if isinstance(match.headers, tuple) else (match.headers or {},)):
        for name, regex in headers.items():
            lower = name.lower()
            yield f"headers[{index}].{name}" if many else f"headers.{name}", _AUTHORITY.get(lower, lower), regex


def _problems(raw: RawDocument, spec: HttpSpec) -> Iterator[Problem]:
    if not spec.matches:
        yield raw.problem("spec.matches", "expected at least one match, found none")
    yield from repeated(raw, ((f"spec.matches[{index}].name", each.name) for index, each in enumerate(spec.matches)))
    for index, match in enumerate(spec.matches):
        field = f"spec.matches[{index}]"
        if not match.name:
            yield raw.problem(f"{field}.name", "expected a name, found an empty text")
        why = complaint(match.path_regex or ANY_PATH)
        if why:
            yield raw.problem(
                f"{field}.pathRegex", f"{shown(match.path_regex)} is no regular expression for Envoy: {why}"
            )
        yield from _method_problems(raw, field, match)
        yield from _header_problems(raw, field, match)


def _method_problems(raw: RawDocument, field: str, match: Match) -> Iterator[Problem]:
    for index, method in enumerate(match.methods):
        if method != "*" and method.upper() not in METHODS:
            what = f"{shown(method)} is no method; allowed are *, {', '.join(METHODS)}"
            yield raw.problem(f"{field}.methods[{index}]", what)


def _header_problems(raw: RawDocument, field: str, match: Match) -> Iterator[Problem]:
    for place, name, regex in _headers(match):
        if not HEADER_NAME.fullmatch(name.removeprefix(":") if name == ":authority" else name):
            yield raw.problem(f"{field}.{place}", f"{shown(name)} is no header name; paths and methods have own fields")
        why = complaint(regex)
        if why:
            yield raw.problem(f"{field}.{place}", f"{shown(regex)} is no regular expression for Envoy: {why}")
