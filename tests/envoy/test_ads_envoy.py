"""Real Envoys against the engine alone: warming, make before break, reconnection, rejection."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf.json_format import ParseDict

from osm.ads import stream
from osm.ads.server import ServerSettings
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE
from osm.envoy.process import EnvoyProcess
from osm.testing.sidecar_folder import launch_of
from osm.testing.xds_bootstrap import OVER_ADS, xds_bootstrap
from osm.testing.xds_server import xds_server
from tests.envoy.admin_page import PATIENCE_S, page

pytestmark = pytest.mark.envoy

HCM = f"type.googleapis.com/{http_connection_manager_pb2.HttpConnectionManager.DESCRIPTOR.full_name}"
ROUTER = f"type.googleapis.com/{router_pb2.Router.DESCRIPTOR.full_name}"


def assignment(name, port):
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    return {
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
    }


def cluster(name, timeout="1s", **more):
    eds = {"eds_config": OVER_ADS}
    return ParseDict(
        {"name": name, "type": "EDS", "connect_timeout": timeout, "eds_cluster_config": eds, **more},
        cluster_pb2.Cluster(),
    )


def endpoints(name, port):
    return ParseDict(assignment(name, port), endpoint_pb2.ClusterLoadAssignment())


def listener(socket, route="web"):
    hcm = {
        "@type": HCM,
        "stat_prefix": "in",
        "rds": {"route_config_name": route, "config_source": OVER_ADS},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER}}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": hcm}]
    return ParseDict(
        {
            "name": f"in-{route}",
            "address": {"pipe": {"path": str(socket)}},
            "filter_chains": [{"filters": filters}],
        },
        listener_pb2.Listener(),
    )


def route(name, to, prefix="/"):
    host = {
        "name": "all",
        "domains": ["*"],
        "routes": [{"match": {"prefix": prefix}, "route": {"cluster": to}}],
    }
    return ParseDict({"name": name, "virtual_hosts": [host]}, route_pb2.RouteConfiguration())


def broken_route(name):
    """A regular expression that does not compile, which Envoy finds out only itself."""
    made = route(name, "web")
    made.virtual_hosts[0].routes[0].match.safe_regex.regex = "("
    return made


def broken_cluster(name):
    """Load balanced by the cluster's own kind, which an EDS cluster does not offer."""
    return cluster(name, lb_policy="CLUSTER_PROVIDED")


def cluster_broken_late(name):
    """A ring hash whose minimum exceeds its maximum, which Envoy finds out after it began to warm it."""
    return cluster(
        name,
        lb_policy="RING_HASH",
        ring_hash_lb_config={"minimum_ring_size": 100, "maximum_ring_size": 10},
    )


@asynccontextmanager
async def envoy(tmp_path: Path, xds_port: int, api_type="DELTA_GRPC"):
    started = launch_of(tmp_path)
    started.bootstrap.write_text(xds_bootstrap(xds_port, node_id="real", admin=started.admin, api_type=api_type))
    process = EnvoyProcess(started)
    try:
        await asyncio.wait_for(process.live(), PATIENCE_S)
        yield started
    finally:
        await process.stop()


@asynccontextmanager
async def upstream(text):
    """A server that answers `text`; its port."""

    async def answer(_request):
        return web.Response(text=text)

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def get(socket, path="/"):
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path=str(socket))) as session,
        session.get(f"http://web{path}") as response,
    ):
        return response.status, await response.text()


async def active_clusters(launch):
    """Connect timeout by name of the active clusters, and the names of those still warming."""
    dump = json.loads(await page(launch.admin, "config_dump"))
    [clusters] = [part for part in dump["configs"] if part["@type"].endswith("ClustersConfigDump")]
    active = {c["cluster"]["name"]: c["cluster"] for c in clusters.get("dynamic_active_clusters", ())}
    warming = {c["cluster"]["name"] for c in clusters.get("dynamic_warming_clusters", ())}
    return {name: found["connect_timeout"] for name, found in active.items()}, warming


def web_of(socket, port):
    return cluster("web"), endpoints("web", port), listener(socket), route("web", "web")


async def settled(xds):
    """Everything sent has been answered; a hang, which Envoy would bear for ever, ends the test."""
    async with asyncio.timeout(PATIENCE_S):
        await xds.acked()


@pytest.mark.parametrize("api_type", ["DELTA_GRPC", "GRPC"])
async def test_an_envoy_is_configured_and_serves(tmp_path, api_type):
    async with xds_server() as xds, upstream("hello") as port:
        xds.put(*web_of(tmp_path / "in", port))
        async with envoy(tmp_path, xds.port, api_type):
            await settled(xds)
            assert await get(tmp_path / "in") == (200, "hello")
            assert xds.rejections == []
            assert {type_url for _, type_url in xds.acks} == {CLUSTER, ENDPOINT, LISTENER, ROUTE}
            assert len(xds.acks) == 4


@pytest.mark.parametrize("api_type", ["DELTA_GRPC", "GRPC"])
async def test_a_changed_eds_cluster_is_warmed_without_a_hang(tmp_path, api_type):
    async with xds_server() as xds, upstream("hello") as port:
        xds.put(*web_of(tmp_path / "in", port))
        async with envoy(tmp_path, xds.port, api_type) as launch:
            await settled(xds)
            for seconds in (2, 3, 4):
                xds.put(cluster("web", f"{seconds}s"))
                await settled(xds)
                assert await active_clusters(launch) == ({"web": f"{seconds}s"}, set())
            assert await get(tmp_path / "in") == (200, "hello")


@pytest.mark.parametrize("api_type", ["DELTA_GRPC", "GRPC"])
async def test_a_cluster_is_replaced_and_removed_without_one_failed_request(tmp_path, api_type):
    socket = tmp_path / "in"
    async with xds_server() as xds, upstream("old") as old, upstream("new") as new:
        ports = {"old": old, "new": new}

        def only(name):
            return cluster(name), endpoints(name, ports[name]), listener(socket), route("web", name)

        xds.replace(*only("old"))
        async with envoy(tmp_path, xds.port, api_type) as launch:
            await settled(xds)
            done = asyncio.Event()

            async def ask_all_the_time():
                answers = set()
                while not done.is_set():
                    answers.add(await get(socket))
                return answers

            async with asyncio.TaskGroup() as tasks:
                asking = tasks.create_task(ask_all_the_time())
                for name in ("new", "old", "new", "old", "new"):
                    xds.replace(*only(name))
                    await settled(xds)
                    assert await get(socket) == (200, name)
                done.set()
            assert {status for status, _ in asking.result()} == {200}
            assert await active_clusters(launch) == ({"new": "1s"}, set())


async def test_a_proxy_that_comes_back_is_sent_only_what_changed_meanwhile(tmp_path):
    async with upstream("hello") as port:
        everything = web_of(tmp_path / "in", port)
        async with xds_server() as first:
            first.put(*everything)
            settings = ServerSettings(address=f"127.0.0.1:{first.port}")
            running = envoy(tmp_path, first.port)
            await running.__aenter__()
            await settled(first)
        try:
            async with xds_server(settings=settings) as second:
                second.put(*everything)
                await asyncio.wait_for(second.until(lambda: second.streams), PATIENCE_S)
                second.put(route("web", "web", prefix="/only"))
                await asyncio.wait_for(second.until(lambda: ("real", ROUTE) in second.acks), PATIENCE_S)
                await settled(second)
                assert second.acks == [("real", ROUTE)]
                assert (await get(tmp_path / "in"))[0] == 404
                assert await get(tmp_path / "in", "/only") == (200, "hello")
        finally:
            await running.__aexit__(None, None, None)


async def test_what_went_while_a_proxy_was_away_is_removed_when_it_comes_back(tmp_path):
    async with upstream("hello") as port:
        everything = web_of(tmp_path / "in", port)
        async with xds_server() as first:
            first.put(*everything, cluster("extra"), endpoints("extra", port))
            settings = ServerSettings(address=f"127.0.0.1:{first.port}")
            running = envoy(tmp_path, first.port)
            launch = await running.__aenter__()
            await settled(first)
            assert (await active_clusters(launch))[0].keys() == {"web", "extra"}
        try:
            async with xds_server(settings=settings) as second:
                second.put(cluster("web", "7s"), *everything[1:])
                await asyncio.wait_for(second.until(lambda: ("real", CLUSTER) in second.acks), PATIENCE_S)
                await settled(second)
                assert await active_clusters(launch) == ({"web": "7s"}, set())
        finally:
            await running.__aexit__(None, None, None)


@pytest.mark.parametrize("api_type", ["DELTA_GRPC", "GRPC"])
async def test_a_rejected_cluster_is_named_its_last_good_stays_and_the_others_are_applied(tmp_path, api_type):
    async with xds_server() as xds, upstream("hello") as port:
        xds.put(*web_of(tmp_path / "in", port))
        async with envoy(tmp_path, xds.port, api_type) as launch:
            await settled(xds)
            xds.put(broken_cluster("web"), cluster("more"), endpoints("more", port))
            await settled(xds)
            assert [(r.type_url, r.names) for r in xds.rejections] == [(CLUSTER, ("web",))]
            assert await active_clusters(launch) == ({"web": "1s", "more": "1s"}, set())
            assert await get(tmp_path / "in") == (200, "hello")
            xds.put(cluster("web", "9s"))
            await settled(xds)
            assert await active_clusters(launch) == ({"web": "9s", "more": "1s"}, set())
            assert len(xds.rejections) == 1


async def test_clusters_that_envoy_is_stuck_with_are_mended_by_a_newer_version(tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "CLUSTER_SILENCE_S", 5.0)
    async with xds_server() as xds, upstream("hello") as port:
        xds.put(*web_of(tmp_path / "in", port))
        async with envoy(tmp_path, xds.port) as launch:
            await settled(xds)
            xds.put(cluster_broken_late("web"), cluster("more"), endpoints("more", port))
            while await active_clusters(launch) != ({"web": "1s", "more": "1s"}, {"web"}):
                await asyncio.sleep(0.05)
            assert [behind.in_flight for behind in xds.engine.behind()] == [(CLUSTER,)]
            xds.put(cluster("web", "8s"))
            await settled(xds)
            assert await active_clusters(launch) == ({"web": "8s", "more": "1s"}, set())


async def test_a_rejected_route_is_found_even_if_envoy_does_not_name_it(tmp_path):
    names = [f"route{i}" for i in range(6)]
    async with xds_server() as xds, upstream("hello") as port:
        xds.put(cluster("web"), endpoints("web", port))
        xds.put(*(listener(tmp_path / name, name) for name in names))
        xds.put(*(route(name, "web") for name in names))
        async with envoy(tmp_path, xds.port):
            await settled(xds)
            xds.put(broken_route("route3"), *(route(n, "web", "/new") for n in names if n != "route3"))
            await settled(xds)
            assert {name for rejection in xds.rejections for name in rejection.names} == {"route3"}
            assert await get(tmp_path / "route3") == (200, "hello")
            for name in names:
                expected = "/" if name == "route3" else "/new"
                assert await get(tmp_path / name, expected) == (200, "hello"), name


async def test_a_listener_without_its_route_waits_and_serves_when_the_route_comes(tmp_path):
    async with xds_server() as xds, upstream("hello") as port:
        xds.put(*web_of(tmp_path / "in", port))
        async with envoy(tmp_path, xds.port):
            await settled(xds)
            xds.put(listener(tmp_path / "late", "late"))
            await settled(xds)
            xds.put(route("late", "web"))
            await settled(xds)
            assert await get(tmp_path / "late") == (200, "hello")
            assert xds.rejections == []
