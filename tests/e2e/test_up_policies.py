"""What policies mean, by real traffic through real sidecars in one mesh.

Each test puts its own policies into the folder and takes them back; the workloads stay.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from osm.cli.client import of_kind, picture
from osm.contracts.channels import MESH_WORKLOAD
from osm.contracts.endpoints import Explicit
from osm.testing.manifests import (
    documents,
    http,
    mesh_config,
    route_group,
    service,
    split,
    target,
    tcp,
    tcp_route,
    workload,
)
from osm.testing.mesh import MeshProcess, mesh_process
from osm.testing.wire_http import ask
from tests.e2e.outside import Outside, outside

WEB, OTHER, NEAR = "web-0.front", "other-0.front", "near-0.shop"
"""Clients: two of another namespace, one of the service's own."""

WEB_ACCOUNT, OTHER_ACCOUNT, NEAR_ACCOUNT = ("front", "web"), ("front", "other"), ("shop", "near")
API = "http://api.shop:8080"
WORKLOADS = 7

BASE = documents(
    workload(("shop", "api"), "8080", "8082", "tcp:9000", "first:9001", replicas=2),
    service(("shop", "api"), "8080", "80:8082", "9000/tcp", "9001/tcp-server-first"),
    service(("shop", "alias"), "7000:8080", app="api"),
    workload(("shop", "v1"), "8080", labels={"root": "versions"}),
    workload(("shop", "v2"), "8080", labels={"root": "versions"}),
    service(("shop", "versions"), "8080", labels={"root": "versions"}),
    service(("shop", "v1"), "8080"),
    service(("shop", "v2"), "8080"),
    workload(("shop", "near"), "8080"),
    workload(("front", "web"), "8080"),
    workload(("front", "other"), "8080"),
)


@pytest.fixture(scope="module")
def mesh(home: Path) -> Iterator[MeshProcess]:
    folder = home / "manifests"
    folder.mkdir()
    (folder / "base.yaml").write_text(BASE)
    (folder / "mesh.yaml").write_text(mesh_config())
    with mesh_process(
        "up", "-f", str(folder), "--ca-folder", str(home / "ca"), name="policies", home=home, folder=folder
    ) as running:
        running.until(lambda: running.output().count("ready ") >= WORKLOADS, "all workloads ready")
        yield running
    assert not running.leftovers()


ANYTHING = route_group(("shop", "anything"), all={"pathRegex": ".*", "methods": ["*"]})
TO_API = target(("shop", "to-api"), http("anything"), to="api", sources=[WEB_ACCOUNT, NEAR_ACCOUNT])
TO_VERSIONS = (
    target(("shop", "to-v1"), http("anything"), to="v1", sources=[WEB_ACCOUNT]),
    target(("shop", "to-v2"), http("anything"), to="v2", sources=[WEB_ACCOUNT]),
)


async def test_without_a_policy_nobody_reaches_anything(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        await it.in_service(WORKLOADS)
        answers = [await it.get(client, f"{API}/") for client in (WEB, OTHER, NEAR)]
    assert [answer.status for answer in answers] == [403, 403, 403]
    assert b"a TrafficTarget with source front/web would" in answers[0].body


async def test_overlapping_targets_each_grant_what_they_say(mesh: MeshProcess) -> None:
    """OSM's own shape (one rule a route, the first that matches) lets one of the two shut the other out."""
    groups = route_group(
        ("shop", "paths"),
        **{
            "books": {"pathRegex": "/books.*", "methods": ["GET"]},
            "one": {"pathRegex": "/books/1", "methods": ["GET", "POST"]},
            "else": {"pathRegex": "/.*", "methods": ["GET"]},
        },
    )
    web = target(("shop", "a-web"), http("paths", "books"), to="api", sources=[WEB_ACCOUNT])
    other = target(("shop", "b-other"), http("paths", "one"), to="api", sources=[OTHER_ACCOUNT])
    near = target(("shop", "c-near"), http("paths", "else"), to="api", sources=[NEAR_ACCOUNT])
    async with outside(mesh) as it, it.policies(groups, web, other, near):
        asked = {
            (client.partition("-")[0], method, path): await it.status(client, API + path, method=method)
            for client in (WEB, OTHER, NEAR)
            for method in ("GET", "POST")
            for path in ("/books", "/books/1", "/about")
        }
    allowed = {asking for asking, status in asked.items() if status == 200}
    assert allowed == {
        ("web", "GET", "/books"),
        ("web", "GET", "/books/1"),
        ("other", "GET", "/books/1"),
        ("other", "POST", "/books/1"),
        ("near", "GET", "/books"),
        ("near", "GET", "/books/1"),
        ("near", "GET", "/about"),
    }


async def test_what_nobody_may_ask_is_unknown_and_what_others_may_ask_is_forbidden(mesh: MeshProcess) -> None:
    groups = route_group(("shop", "paths"), a={"pathRegex": "/a"}, b={"pathRegex": "/b"})
    web = target(("shop", "web"), http("paths", "a"), to="api", sources=[WEB_ACCOUNT])
    other = target(("shop", "other"), http("paths", "b"), to="api", sources=[OTHER_ACCOUNT])
    async with outside(mesh) as it, it.policies(groups, web, other):
        assert await it.status(WEB, f"{API}/a") == 200
        assert await it.status(WEB, f"{API}/a?query=is&not=looked&at") == 200
        assert await it.status(WEB, f"{API}/b") == 403
        assert await it.status(WEB, f"{API}/c") == 404
        assert await it.status(WEB, f"{API}/a/") == 404


async def test_headers_and_methods_are_part_of_a_match(mesh: MeshProcess) -> None:
    groups = route_group(
        ("shop", "paths"),
        written={"methods": ["PUT", "DELETE"], "headers": [{"X-Role": "admin|owner"}, {"x-zone": ".+"}]},
        read={"methods": ["GET"]},
    )
    web = target(("shop", "web"), http("paths"), to="api", sources=[WEB_ACCOUNT])
    async with outside(mesh) as it, it.policies(groups, web):
        assert await it.status(WEB, f"{API}/any/path") == 200
        assert await it.status(WEB, f"{API}/x", method="PUT", x_role="admin", x_zone="1") == 200
        assert await it.status(WEB, f"{API}/x", method="DELETE", x_role="owner", x_zone="1") == 200
        assert await it.status(WEB, f"{API}/x", method="PUT", x_role="administrator", x_zone="1") == 404
        assert await it.status(WEB, f"{API}/x", method="PUT", x_role="admin") == 404
        assert await it.status(WEB, f"{API}/x", method="POST", x_role="admin", x_zone="1") == 404
        assert await it.status(WEB, f"{API}/x", method="HEAD") == 404
        assert await it.status(WEB, f"{API}/x", method="BREW") in (400, 404)


async def test_no_matches_means_all_and_named_ones_mean_those(mesh: MeshProcess) -> None:
    groups = route_group(("shop", "paths"), a={"pathRegex": "/a"}, b={"pathRegex": "/b"}, c={"pathRegex": "/c"})
    every = target(("shop", "web"), http("paths"), to="api", sources=[WEB_ACCOUNT])
    some = target(("shop", "other"), http("paths", "a", "c"), to="api", sources=[OTHER_ACCOUNT])
    async with outside(mesh) as it, it.policies(groups, every, some):
        assert [await it.status(WEB, f"{API}/{path}") for path in "abc"] == [200, 200, 200]
        assert [await it.status(OTHER, f"{API}/{path}") for path in "abc"] == [200, 403, 200]


PATHS = {
    "/open": (200, "/open"),
    "//open": (200, "/open"),
    "/./open": (200, "/open"),
    "/secret/../open": (200, "/open"),
    "/%6fpen": (200, "/open"),
    "/open//../secret": (200, "/open/secret"),  # RFC 3986: `..` takes the empty segment away
    "/secret": (403, None),
    "/open/../secret": (403, None),
    "/open/%2e%2e/secret": (403, None),
    "/open/%2E%2E/secret": (403, None),
    "/open/.%2e/secret": (403, None),
    "/s%65cret": (403, None),
    "/../../secret": (403, None),
    "/open/..%2fsecret": (400, None),
    "/open%2F..%2Fsecret": (400, None),
    "/open%5c..%5csecret": (400, None),
}
"""As written: the answer, and what the app is asked for."""


async def test_a_path_is_judged_as_what_it_leads_to(mesh: MeshProcess) -> None:
    groups = route_group(("shop", "paths"), open={"pathRegex": "/open(/.*)?"}, secret={"pathRegex": "/secret"})
    web = target(("shop", "web"), http("paths", "open"), to="api", sources=[WEB_ACCOUNT])
    other = target(("shop", "other"), http("paths", "secret"), to="api", sources=[OTHER_ACCOUNT])
    async with outside(mesh) as it, it.policies(groups, web, other):
        answers = {written: await it.get(WEB, API + written) for written in PATHS}
    assert {written: (each.status, each.said.get("path")) for written, each in answers.items()} == PATHS


async def test_a_client_cannot_say_who_it_is(mesh: MeshProcess) -> None:
    claimed = {"x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/front/sa/web", "x-envoy-original-path": "/a"}
    async with outside(mesh) as it, it.policies(ANYTHING, TO_API):
        assert (await it.get(OTHER, f"{API}/", headers=claimed)).status == 403
        arrived = (await it.get(NEAR, f"{API}/", headers=claimed)).said["headers"]
    assert isinstance(arrived, dict)
    assert arrived["x-forwarded-client-cert"].count("URI=") == 1
    assert "/ns/shop/sa/near" in arrived["x-forwarded-client-cert"]


async def test_a_service_answers_to_all_its_names(mesh: MeshProcess) -> None:
    names = ["api.shop", "api.shop.svc", "api.shop.svc.cluster", "api.shop.svc.cluster.local"]
    async with outside(mesh) as it, it.policies(ANYTHING, TO_API):
        far = {name: await it.status(WEB, f"http://{name}:8080/") for name in ["api", *names]}
        near = {name: await it.status(NEAR, f"http://{name}:8080/") for name in ["api", *names]}
        assert far == {"api": 403} | dict.fromkeys(names, 200)
        assert near == dict.fromkeys(["api", *names], 200)
        assert await it.status(WEB, "http://API.Shop:8080/") == 200
        assert [await it.status(WEB, f"http://api.shop{port}/") for port in ("", ":80")] == [200, 200]
        wrong = [
            "api.front:8080",
            "api.shop:8081",
            "api.shop:8082",
            "api.shop.svc.example.org:8080",
            "api.shop.local:8080",
        ]
        assert {name: await it.status(WEB, f"http://{name}/") for name in wrong} == dict.fromkeys(wrong, 403)


async def test_a_service_port_leads_to_its_target_port_and_both_services_of_a_pod_answer(mesh: MeshProcess) -> None:
    async with outside(mesh) as it, it.policies(ANYTHING, TO_API):
        told = {
            url: (await it.get(WEB, url)).said.get("port")
            for url in (f"{API}/", "http://api.shop/", "http://alias.shop:7000/")
        }
    assert told == {f"{API}/": 8080, "http://api.shop/": 8082, "http://alias.shop:7000/": 8080}


async def test_every_replica_answers(mesh: MeshProcess) -> None:
    async with outside(mesh) as it, it.policies(ANYTHING, TO_API):
        by = Counter([(await it.get(WEB, f"{API}/")).said.get("by") for _ in range(20)])
    assert set(by) == {"api-0", "api-1"}


async def _greet(it: Outside, client: str, port: int, *, first: bytes = b"") -> bytes:
    """Connect where the client's sidecar offers the API's TCP port, say `ping`; what came back."""
    app = it.board.processes()[client].app_addresses[0][1]
    environment = (await ask(app, "/environment", host="app")).said["environment"]
    assert isinstance(environment, dict)
    host, _, number = environment[f"OSM_UPSTREAM_SHOP_API_{port}"].rpartition(":")
    try:
        reader, writer = await asyncio.open_connection(host, int(number))
    except ConnectionRefusedError:
        return b"refused"
    try:
        async with asyncio.timeout(30.0):
            heard = await reader.readexactly(len(first))
            writer.write(b"ping")
            return heard + await reader.read(4)
    except (ConnectionError, asyncio.IncompleteReadError):
        return b""
    finally:
        writer.close()


async def test_connections_need_a_tcp_rule_of_their_own(mesh: MeshProcess) -> None:
    """An HTTP rule never admits a connection, and a TCPRoute with ports admits to those alone."""
    async with outside(mesh) as it, it.policies(ANYTHING, TO_API):
        assert await _greet(it, WEB, 9000) in (b"", b"refused")
        assert await _greet(it, OTHER, 9000) in (b"", b"refused")
    any_port = (
        tcp_route(("shop", "any")),
        target(("shop", "t"), tcp("any"), to="api", sources=[WEB_ACCOUNT]),
    )
    async with outside(mesh) as it, it.policies(*any_port):
        assert await _greet(it, WEB, 9000) == b"ping"
        assert await _greet(it, WEB, 9001, first=b"hello\n") == b"hello\nping"
        assert await _greet(it, OTHER, 9000) in (b"", b"refused")
        assert await it.status(WEB, f"{API}/") != 200
    one_port = (
        tcp_route(("shop", "one"), 9001),
        target(("shop", "t"), tcp("one"), to="api", sources=[WEB_ACCOUNT]),
    )
    async with outside(mesh) as it, it.policies(*one_port):
        assert await _greet(it, WEB, 9001, first=b"hello\n") == b"hello\nping"
        assert await _greet(it, WEB, 9000) == b""


@pytest.mark.parametrize("root", ["versions", "versions.shop", "versions.shop.svc", "versions.shop.svc.cluster.local"])
async def test_a_split_divides_its_root_however_the_root_is_spelled(mesh: MeshProcess, root: str) -> None:
    async with outside(mesh) as it, it.policies(ANYTHING, *TO_VERSIONS, split(("shop", "s"), root, {"v1": 0, "v2": 1})):
        by = Counter([(await it.get(WEB, "http://versions.shop:8080/")).said.get("by") for _ in range(12)])
        direct = (await it.get(WEB, "http://v1.shop:8080/")).said.get("by")
    assert by == {"v2-0": 12}
    assert direct == "v1-0"


async def test_a_split_of_the_oldest_version_and_both_weights(mesh: MeshProcess) -> None:
    halves = split(("shop", "s"), "versions", {"v1": 50, "v2": 50}, version="v1alpha2")
    async with outside(mesh) as it, it.policies(ANYTHING, *TO_VERSIONS, halves):
        by = Counter([(await it.get(WEB, "http://versions.shop:8080/")).said.get("by") for _ in range(60)])
    assert sum(by.values()) == 60
    assert set(by) == {"v1-0", "v2-0"}
    assert min(by.values()) >= 8  # less is one chance in a billion


async def test_a_split_with_matches_divides_those_requests_alone(mesh: MeshProcess) -> None:
    testers = route_group(("shop", "testers"), by={"headers": [{"x-tester": "yes"}]})
    only = split(("shop", "s"), "v1", {"v2": 1}, "testers")
    async with outside(mesh) as it, it.policies(ANYTHING, *TO_VERSIONS, testers, only):
        url = "http://v1.shop:8080/"
        tester = [(await it.get(WEB, url, headers={"x-tester": "yes"})).said.get("by") for _ in range(6)]
        user = [(await it.get(WEB, url, headers={"x-tester": "no"})).said.get("by") for _ in range(6)]
    assert (set(tester), set(user)) == ({"v2-0"}, {"v1-0"})


async def test_a_split_grants_nothing(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        to_v1 = TO_VERSIONS[0]
        async with it.policies(ANYTHING, to_v1, split(("shop", "s"), "v1", {"v2": 1})):
            answers = {await it.status(WEB, "http://v1.shop:8080/") for _ in range(5)}
            assert await it.status(WEB, "http://v2.shop:8080/") == 403
    assert answers == {503}


async def test_permissive_mode_lets_everyone_in_and_splits_hold(mesh: MeshProcess) -> None:
    async with outside(mesh) as it, it.policies(split(("shop", "s"), "versions", {"v2": 1})):
        assert await it.status(OTHER, f"{API}/any") == 403
        await it.change(lambda: mesh.put("mesh.yaml", mesh_config(enablePermissiveTrafficPolicyMode=True)))
        try:
            assert await it.status(OTHER, f"{API}/any", method="PATCH") == 200
            assert await _greet(it, OTHER, 9000) == b"ping"
            assert (await it.get(OTHER, "http://versions.shop:8080/")).said.get("by") == "v2-0"
            assert await it.status(OTHER, "http://nowhere.shop:8080/") == 403
        finally:
            await it.change(lambda: mesh.put("mesh.yaml", mesh_config()))
        assert await it.status(OTHER, f"{API}/any") == 403


OPEN = """\
apiVersion: policy.openservicemesh.io/v1alpha1
kind: IngressBackend
metadata: {{name: laptop, namespace: shop}}
spec:
  backends: [{{name: api, port: {{number: 8080, protocol: http}}}}]
  sources: [{{kind: IPRange, name: {0}}}]
"""


async def _door(it: Outside, workload: str, target_port: int) -> str:
    """Where the workload's sidecar listens for the port."""
    found = of_kind(await picture(it.bus, "catalog"), MESH_WORKLOAD)
    how = next(each.interception for each in found if each.proxy_id == workload)
    assert isinstance(how, Explicit)
    return str(next(each.listen for each in how.inbound if each.target_port == target_port))


async def test_an_ingress_backend_admits_addresses_without_a_certificate(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        door = await _door(it, "api-0.shop", 8080)
        assert (await ask(door, "/", host="api")).status == 0, "nothing is open"
        async with it.policies(OPEN.format("127.0.0.0/8")):
            assert (await ask(door, "/any/path", host="whatever.example")).status == 200
            assert await it.status(WEB, API) == 403, "the mesh's own rules are as they were"
        async with it.policies(OPEN.format("10.0.0.0/8")):
            assert (await ask(door, "/", host="api", headers={"x-forwarded-for": "10.0.0.1"})).status == 403
        assert (await ask(door, "/", host="api")).status == 0, "closed again"


RETRY = """\
apiVersion: policy.openservicemesh.io/v1alpha1
kind: Retry
metadata: {name: again, namespace: front}
spec:
  source: {kind: ServiceAccount, name: web, namespace: front}
  destinations: [{kind: Service, name: v1, namespace: shop}]
  retryPolicy: {retryOn: 5xx, numRetries: 9, retryBackoffBaseInterval: 1ms}
"""

LIMIT = """\
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: few, namespace: shop}
spec:
  host: v1.shop.svc.cluster.local
  rateLimit: {local: {http: {requests: 3, unit: hour}}}
"""


async def test_a_failed_request_is_sent_again_until_its_service_has_had_enough(mesh: MeshProcess) -> None:
    url = "http://v1.shop:8080/503"
    async with outside(mesh) as it, it.policies(ANYTHING, TO_VERSIONS[0]):
        assert await it.status(WEB, url) == 503
        async with it.policies(LIMIT, file="limit.yaml"):
            assert [await it.status(WEB, url) for _ in range(4)] == [503, 503, 503, 429]
        async with it.policies(RETRY, LIMIT, file="limit.yaml"):
            assert await it.status(WEB, url) == 429, "three times 503, then too many"
        assert await it.status(WEB, url) == 503


ASKED = """\
apiVersion: policy.openservicemesh.io/v1alpha1
kind: UpstreamTrafficSetting
metadata: {name: asked, namespace: shop}
spec:
  host: v1.shop.svc.cluster.local
  rateLimit:
    global:
      http:
        rateLimitService: {host: 127.0.0.1, port: 9}
        domain: shop
        failOpen: false
        descriptors: [{entries: [{remoteAddress: {}}]}]
"""


async def test_what_stands_in_a_listener_holds_for_connections_that_stand_but_for_one_answer(mesh: MeshProcess) -> None:
    """Who is asked about requests does; and of nobody at port 9 there is no answer."""
    url = "http://v1.shop:8080/"
    async with outside(mesh) as it, it.policies(ANYTHING, TO_VERSIONS[0]):
        assert await it.status(WEB, url) == 200
        async with it.policies(ASKED, file="asked.yaml"):
            assert [await it.status(WEB, url) for _ in range(4)][1:] == [500] * 3
        assert [await it.status(WEB, url) for _ in range(4)][1:] == [200] * 3
