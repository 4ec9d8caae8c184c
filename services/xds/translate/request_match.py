"""One SMI match as a route match and as a permission of access control.

Both are here so that they cannot drift apart: a request that a route takes for one match and access control for
another would be let in by the wrong rule.
"""

import re
from collections.abc import Iterable

from envoy.config.rbac.v3.rbac_pb2 import Permission
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, RouteMatch
from envoy.type.matcher.v3.path_pb2 import PathMatcher

from osm.contracts.policy import ANY_PATH, HttpMatch
from services.xds.translate.messages import exactly, matching, whole_match

Shape = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]
"""What a match asks for, without its name: path, methods, headers, sorted."""

ANY_REQUEST: Shape = (ANY_PATH, (), ())


def shapes(matches: Iterable[HttpMatch]) -> tuple[Shape, ...]:
    """Distinct and sorted; one that takes everything stands for all."""
    found = {_shape(match) for match in matches}
    return (ANY_REQUEST,) if ANY_REQUEST in found else tuple(sorted(found))


def route_match(shape: Shape) -> RouteMatch:
    """The path without its query must match as a whole, as must every header."""
    path, methods, headers = shape
    matchers = _header_matchers(methods, headers)
    if path == ANY_PATH:
        return RouteMatch(prefix="/", headers=matchers)
    return RouteMatch(safe_regex=whole_match(path), headers=matchers)


def permission(shape: Shape) -> Permission:
    """The same requests as `route_match`, for access control."""
    path, methods, headers = shape
    rules = [Permission(header=matcher) for matcher in _header_matchers(methods, headers)]
    if path != ANY_PATH:
        rules.insert(0, Permission(url_path=PathMatcher(path=matching(path))))
    match rules:
        case []:
            return Permission(any=True)
        case [only]:
            return only
        case _:
            return Permission(and_rules=Permission.Set(rules=rules))


def _shape(match: HttpMatch) -> Shape:
    """`host` is what Envoy calls `:authority`, whichever HTTP version it came in."""
    headers = {(":authority" if h.name == "host" else h.name, h.regex) for h in match.headers}
    return match.path_regex, tuple(sorted(set(match.methods))), tuple(sorted(headers))


def _header_matchers(methods: tuple[str, ...], headers: tuple[tuple[str, str], ...]) -> list[HeaderMatcher]:
    matchers = [HeaderMatcher(name=name, string_match=matching(regex)) for name, regex in headers]
    if len(methods) == 1:
        matchers.insert(0, HeaderMatcher(name=":method", string_match=exactly(methods[0])))
    elif methods:
        either = "|".join(re.escape(method) for method in methods)
        matchers.insert(0, HeaderMatcher(name=":method", string_match=matching(either)))
    return matchers
