"""UpstreamTrafficSetting: what it comes to, and every mistake in one."""
# ruff: noqa: E501  # a mistake and its sentence are read side by side

import pytest
from envoy.type.v3.http_status_pb2 import StatusCode

from osm.contracts.traffic_settings import (
    Allowance,
    ConnectionSettings,
    GenericKey,
    GlobalHttpLimit,
    GlobalTcpLimit,
    HeaderCondition,
    HeaderValueMatch,
    LimitService,
    LocalHttpLimit,
    RemoteAddress,
    RequestHeader,
    RouteLimit,
    TrafficSettings,
    UpstreamTrafficSetting,
)
from osm.manifests import Parsed
from osm.manifests.yaml import read
from osm.smi import AnyPolicy, parse
from osm.smi.locallimit import STATUSES

HOST = "host: web.shop.svc.cluster.local"
LIMITER = "rateLimitService: {host: limits.ops.svc.cluster.local, port: 8081}, domain: shop"
WANTED = "expected a service of namespace shop, such as orders.shop.svc.cluster.local"


def parsed(*lines: str, host: str = HOST) -> Parsed[AnyPolicy]:
    text = "\n".join(
        (
            "apiVersion: policy.openservicemesh.io/v1alpha1",
            "kind: UpstreamTrafficSetting",
            "metadata: {name: it, namespace: shop}",
            "spec:",
            *(f"  {line}" for line in (host, *lines)),
        )
    )
    reading = read(text, "f.yaml")
    assert reading.problems == ()
    return parse(reading.documents[0])


def sentences(found: Parsed[AnyPolicy]) -> list[str]:
    return [f"{each.severity} {each.field}: {each.what}" for each in found.problems]


def settings(*lines: str) -> TrafficSettings:
    found = parsed(*lines)
    assert found.problems == ()
    assert isinstance(found.object, UpstreamTrafficSetting)
    assert found.object.service == "web"
    return found.object.settings


def test_connections_are_limited() -> None:
    said = settings(
        "connectionSettings:",
        "  tcp: {maxConnections: 7, connectTimeout: 1.5s}",
        "  http: {maxRequests: 1, maxRequestsPerConnection: 2, maxPendingRequests: 0, maxRetries: 4}",
    )
    assert said == TrafficSettings(
        connections=ConnectionSettings(
            max_connections=7,
            connect_timeout_ms=1500,
            max_requests=1,
            max_requests_per_connection=2,
            max_pending_requests=0,
            max_retries=4,
        )
    )


def test_sidecars_count_connections_and_requests() -> None:
    said = settings(
        "rateLimit:",
        "  local:",
        "    tcp: {connections: 3, unit: hour}",
        "    http:",
        "      {requests: 5, unit: minute, burst: 2, responseStatusCode: 503,",
        "       responseHeadersToAdd: [{name: X-Why, value: 100%}]}",
    )
    assert said == TrafficSettings(
        local_tcp=Allowance(count=3, unit="hour"),
        local_http=LocalHttpLimit(
            allowance=Allowance(count=5, unit="minute", burst=2), status=503, headers=(("x-why", "100%"),)
        ),
    )


def test_a_service_is_asked_about_connections_and_requests() -> None:
    said = settings(
        "rateLimit:",
        "  global:",
        f"    tcp: {{{LIMITER}, descriptors: [{{entries: [{{key: a, value: b}}]}}]}}",
        "    http:",
        f"      {{{LIMITER}, timeout: 1s, failOpen: false, enableXRateLimitHeaders: true, responseStatusCode: 503,",
        "       descriptors: [{entries: [{genericKey: {value: v}}, {remoteAddress: {}}]},",
        "                     {entries: [{requestHeader: {name: X-User, key: user}}]}]}",
    )
    where = LimitService(host="limits.ops.svc.cluster.local", port=8081, domain="shop")
    assert said == TrafficSettings(
        global_tcp=GlobalTcpLimit(service=where, descriptors=((("a", "b"),),)),
        global_http=GlobalHttpLimit(
            service=LimitService(host=where.host, port=8081, domain="shop", timeout_ms=1000, fail_open=False),
            descriptors=((GenericKey(value="v"), RemoteAddress()), (RequestHeader(name="x-user", key="user"),)),
            status=503,
            quota_headers=True,
        ),
    )


@pytest.mark.parametrize(
    ("test", "condition"),
    [
        ("exact: ''", HeaderCondition(name="x-user", how="exact")),
        ("prefix: a", HeaderCondition(name="x-user", how="prefix", value="a")),
        ("suffix: a", HeaderCondition(name="x-user", how="suffix", value="a")),
        ("contains: a", HeaderCondition(name="x-user", how="contains", value="a")),
        ("regex: a+", HeaderCondition(name="x-user", how="regex", value="a+")),
        ("present: true", HeaderCondition(name="x-user", how="present")),
        ("present: false", HeaderCondition(name="x-user", how="absent")),
    ],
)
def test_headers_are_tested_in_every_way(test: str, condition: HeaderCondition) -> None:
    said = settings(
        "rateLimit:",
        f"  global: {{http: {{{LIMITER}, descriptors: [{{entries: [{{headerValueMatch: "
        f"{{value: v, expectMatch: false, headers: [{{name: X-User, {test}}}]}}}}]}}]}}}}",
    )
    assert said.global_http is not None
    assert said.global_http.descriptors == ((HeaderValueMatch(value="v", headers=(condition,), expected=False),),)


def test_routes_have_limits_of_their_own() -> None:
    said = settings(
        f"rateLimit: {{global: {{http: {{{LIMITER}}}}}}}",
        "httpRoutes:",
        "- {path: /buy, rateLimit: {local: {requests: 1, unit: second}}}",
        "- {path: '/books/.*', rateLimit: {global: {descriptors: [{entries: [{remoteAddress: {}}]}]}}}",
    )
    assert said.routes == (
        RouteLimit(path_regex="/buy", local=LocalHttpLimit(allowance=Allowance(count=1, unit="second"))),
        RouteLimit(path_regex="/books/.*", descriptors=((RemoteAddress(),),)),
    )


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("web", f'error spec.host: {WANTED}, found "web"'),
        ("web.shop", f'error spec.host: {WANTED}, found "web.shop"'),
        ("web.shop.svc", f'error spec.host: {WANTED}, found "web.shop.svc"'),
        ("web.other.svc.cluster.local", f'error spec.host: {WANTED}, found "web.other.svc.cluster.local"'),
        ("a.web.shop.svc.cluster.local", f'error spec.host: {WANTED}, found "a.web.shop.svc.cluster.local"'),
        (
            "httpbin.org",
            'warning spec.host: "httpbin.org" is outside the mesh: settings of such a host are accepted and '
            f"not enforced yet; {WANTED}",
        ),
    ],
)
def test_the_host_is_a_service_of_the_own_namespace(host: str, sentence: str) -> None:
    assert sentences(parsed(host=f"host: {host}")) == [sentence]


MISTAKES = [
    (
        "rateLimit: {local: {http: {requests: 1, unit: second, responseHeadersToAdd: [{name: Host, value: a}]}}}",
        'spec.rateLimit.local.http.responseHeadersToAdd[0].name: "Host" is for the sidecar to say; allowed is any other',
    ),
    (
        "connectionSettings: {tcp: {maxConnections: -1}}",
        "spec.connectionSettings.tcp.maxConnections: expected a whole number >= 0, found -1",
    ),
    (
        "connectionSettings: {tcp: {maxConnections: 2147483648}}",
        "spec.connectionSettings.tcp.maxConnections: expected a whole number <= 2147483647, found 2147483648",
    ),
    (
        "connectionSettings: {tcp: {connectTimeout: 0s}}",
        'spec.connectionSettings.tcp.connectTimeout: expected a duration of more than 0 and at most 1h, found "0s"',
    ),
    (
        "connectionSettings: {tcp: {connectTimeout: 5}}",
        "spec.connectionSettings.tcp.connectTimeout: expected text, found 5; put it in quotes",
    ),
    (
        "rateLimit: {local: {tcp: {connections: 0, unit: second}}}",
        "spec.rateLimit.local.tcp.connections: expected a whole number >= 1, found 0",
    ),
    (
        "rateLimit: {local: {tcp: {connections: 1, unit: day}}}",
        'spec.rateLimit.local.tcp.unit: expected one of hour, minute, second, found "day"',
    ),
    (
        "rateLimit: {local: {http: {requests: 1, unit: second, responseStatusCode: 418}}}",
        "spec.rateLimit.local.http.responseStatusCode: expected a status from 400 to 599 that HTTP has a name for, found 418",
    ),
    (
        "rateLimit: {local: {http: {requests: 1, unit: second, responseHeadersToAdd: [{name: X Y, value: a}]}}}",
        'spec.rateLimit.local.http.responseHeadersToAdd[0].name: expected the name of a header, found "X Y"',
    ),
    (
        'rateLimit: {local: {http: {requests: 1, unit: second, responseHeadersToAdd: [{name: X, value: "a\\r\\nb"}]}}}',
        "spec.rateLimit.local.http.responseHeadersToAdd[0].value: expected one line of text, found a line break",
    ),
    (
        f"rateLimit: {{local: {{http: {{requests: 1, unit: second, responseHeadersToAdd: [{', '.join(['{name: X, value: a}'] * 11)}]}}}}}}",
        "spec.rateLimit.local.http.responseHeadersToAdd: expected at most 10 headers, found 11",
    ),
    (
        f"rateLimit: {{global: {{tcp: {{{LIMITER}}}}}}}",
        "spec.rateLimit.global.tcp.descriptors: this field is required and not there",
    ),
    (
        f"rateLimit: {{global: {{tcp: {{{LIMITER}, descriptors: []}}}}}}",
        "spec.rateLimit.global.tcp.descriptors: expected a list of length >= 1, found a list",
    ),
    (
        "rateLimit: {global: {http: {rateLimitService: {host: 'a b', port: 1}, domain: d}}}",
        'spec.rateLimit.global.http.rateLimitService.host: expected an IP address or a name of at most 253 lower-case letters, digits, `-` and `.`, found "a b"',
    ),
    (
        f"rateLimit: {{global: {{http: {{{LIMITER}, timeout: x}}}}}}",
        'spec.rateLimit.global.http.timeout: expected a duration such as 250ms or 1m30s, found "x"',
    ),
    (
        f"rateLimit: {{global: {{http: {{{LIMITER}, responseStatusCode: 200}}}}}}",
        "spec.rateLimit.global.http.responseStatusCode: expected a status from 400 to 599 that HTTP has a name for, found 200",
    ),
    (
        f"rateLimit: {{global: {{http: {{{LIMITER}, descriptors: [{{entries: [{{}}]}}]}}}}}}",
        "spec.rateLimit.global.http.descriptors[0].entries[0]: expected exactly one of genericKey, remoteAddress, requestHeader, headerValueMatch, found none",
    ),
    (
        f"rateLimit: {{global: {{http: {{{LIMITER}, descriptors: [{{entries: [{{remoteAddress: {{}}, genericKey: {{value: a}}}}]}}]}}}}}}",
        "spec.rateLimit.global.http.descriptors[0].entries[0]: expected exactly one of genericKey, remoteAddress, requestHeader, headerValueMatch, found genericKey and remoteAddress",
    ),
    (
        f"rateLimit: {{global: {{http: {{{LIMITER}, descriptors: [{{entries: [{{requestHeader: {{name: ':x', key: a}}}}]}}]}}}}}}",
        'spec.rateLimit.global.http.descriptors[0].entries[0].requestHeader.name: expected the name of a header, or one of :authority, :method, :path, :scheme, found ":x"',
    ),
    (
        f"rateLimit: {{global: {{http: {{{LIMITER}, descriptors: [{{entries: [{{headerValueMatch: {{value: a, headers: [{{name: x}}]}}}}]}}]}}}}}}",
        "spec.rateLimit.global.http.descriptors[0].entries[0].headerValueMatch.headers[0]: expected exactly one of exact, prefix, suffix, regex, contains, present, found none",
    ),
    (
        f"rateLimit: {{global: {{http: {{{LIMITER}, descriptors: [{{entries: [{{headerValueMatch: {{value: a, headers: [{{name: x, regex: '('}}]}}}}]}}]}}}}}}",
        'spec.rateLimit.global.http.descriptors[0].entries[0].headerValueMatch.headers[0].regex: "(" is no regular expression for Envoy: missing ), unterminated subpattern at character 1',
    ),
    (
        f"rateLimit: {{global: {{http: {{{LIMITER}, descriptors: [{{entries: [{{headerValueMatch: {{value: a, headers: [{{name: x, prefix: ''}}]}}}}]}}]}}}}}}",
        "spec.rateLimit.global.http.descriptors[0].entries[0].headerValueMatch.headers[0].prefix: expected some text, found an empty one; `present: true` takes any",
    ),
    (
        "httpRoutes: [{path: '('}]",
        'spec.httpRoutes[0].path: "(" is no regular expression for Envoy: missing ), unterminated subpattern at character 1',
    ),
    (
        "httpRoutes: [{path: /a}, {path: /a}]",
        'spec.httpRoutes[1].path: "/a" is there twice, first as spec.httpRoutes[0].path at line 6',
    ),
    (
        "httpRoutes: [{path: /a, rateLimit: {global: {descriptors: []}}}]",
        "spec.httpRoutes[0].rateLimit.global: no rate limit service is asked: spec.rateLimit.global.http, which says which, is not there",
    ),
    (
        f"httpRoutes: [{', '.join(f'{{path: /{at}}}' for at in range(101))}]",
        "spec.httpRoutes: expected at most 100 routes, found 101",
    ),
    (
        "rateLimits: {}",
        "spec.rateLimits: unknown field; allowed are connectionSettings, host, httpRoutes, rateLimit (did you mean `rateLimit`?)",
    ),
]


@pytest.mark.parametrize(("line", "sentence"), MISTAKES, ids=[sentence.partition(": ")[0] for _, sentence in MISTAKES])
def test_a_mistake_says_what_is_allowed(line: str, sentence: str) -> None:
    found = parsed(line)
    assert sentences(found) == [f"error {sentence}"]
    assert found.object is None


def test_the_statuses_are_those_that_envoy_has_names_for() -> None:
    assert {code for code in StatusCode.values() if code >= 400} == STATUSES
