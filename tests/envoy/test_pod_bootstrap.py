"""A real Envoy with a pod's bootstrap: what may be asked of it in the clear, what may not, and the app's probes.

Its ports are moved to free ones on loopback; nothing else of the bootstrap is changed.
"""

import asyncio
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import httpx
import pytest

from osm.contracts.names import Address, Identity
from osm.envoy import binary, ports
from osm.envoy.bootstrap import Sidecar, certificate_sds, roots_sds, text
from osm.envoy.pod import READ_ONLY, pod_bootstrap
from osm.envoy.probes import GrpcCheck, HttpCheck, Probe, TcpCheck, path_of
from osm.envoy.process import EnvoyProcess, Launch
from osm.runtime.https import ServerCertificate
from osm.testing.authority import Authority
from osm.testing.free_ports import free_port
from osm.testing.xds_server import xds_server
from tests.envoy.admin_page import PATIENCE_S

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(300)]

STORE = Identity("shop", "store")
PROXY = "11111111-2222-4333-8444-555555555555.shop"
SHORT_S = 10


class Mount:
    """A Secret as kubelet shows it: files that are links into `..data`, which is a link that is moved at once."""

    def __init__(self, folder):
        self.folder = folder
        self._turn = 0
        folder.mkdir()

    def put(self, files):
        self._turn += 1
        fresh = self.folder / f"..{self._turn}"
        fresh.mkdir()
        for name, body in files.items():
            (fresh / name).write_text(body)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(Path("..data") / name)
        (self.folder / "..data_tmp").symlink_to(fresh.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")


def files(authority, lifetime_s=3600):
    proxy = authority.proxy(PROXY, STORE, lifetime_s=lifetime_s)
    certificate = certificate_sds(key_pem=proxy.key_pem.decode(), chain_pem=proxy.chain_pem.decode())
    return {"certificate.json": text(certificate), "roots.json": text(roots_sds(authority.roots_pem.decode()))}


def moved(bootstrap):
    """The same on free ports of loopback, and which was moved where."""
    where = {}
    everything = bootstrap.static_resources
    endpoints = [one for each in everything.clusters for one in each.load_assignment.endpoints]
    to_admin = [one for each in endpoints for one in each.lb_endpoints]
    places = [bootstrap.admin.address, *(listener.address for listener in everything.listeners)]
    where = {at.socket_address.port_value: free_port() for at in places}
    for place in (*places, *(one.endpoint.address for one in to_admin)):
        at = place.socket_address
        if at.port_value in where:
            at.address, at.port_value = "127.0.0.1", where[at.port_value]
    return where


class Pod:
    """A running sidecar."""

    def __init__(self, process, where, mount):
        self.process = process
        self.mount = mount
        self._where = where

    def url(self, port, path):
        return f"http://127.0.0.1:{self._where[port]}{path}"

    async def get(self, port, path, **more):
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            return await client.get(self.url(port, path), **more)

    async def post_as_it_is(self, port, path):
        """A POST of a path that HTTP clients would tidy up first; the first line of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._where[port])
        writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
        line = await reader.readline()
        writer.close()
        return line

    async def probe(self, probe):
        port = {"liveness": ports.LIVENESS, "readiness": ports.READINESS, "startup": ports.STARTUP}[probe.kind]
        return await self.get(port, path_of(probe))


def sidecar(tmp_path, port):
    return Sidecar(
        proxy_id=PROXY,
        identity=STORE,
        trust_domain="cluster.local",
        xds=Address("127.0.0.1", port),
        certificate_sds=tmp_path / "mount" / "certificate.json",
        roots_sds=tmp_path / "mount" / "roots.json",
        watched=tmp_path / "mount",
    )


@asynccontextmanager
async def pod(tmp_path, checks=(), lifetime_s=3600):
    """One that has its configuration."""
    authority = Authority()
    mount = Mount(tmp_path / "mount")
    mount.put(files(authority, lifetime_s))
    async with (
        xds_server(identity=authority.server) as xds,
        started(tmp_path, pod_bootstrap(sidecar(tmp_path, xds.port), checks=tuple(checks), metrics=True), mount) as one,
    ):
        await until(lambda: answers(one, ports.READY, "/ready", 200))
        yield one, xds, authority


@asynccontextmanager
async def started(tmp_path, bootstrap, mount):
    where = moved(bootstrap)
    path, log = tmp_path / "bootstrap.json", tmp_path / "envoy.log"
    path.write_text(text(bootstrap))
    process = EnvoyProcess(Launch(program=binary.find(), bootstrap=path, admin=tmp_path / "none", log=log))
    try:
        yield Pod(process, where, mount)
    finally:
        await process.stop()
    assert "deprecated" not in log.read_text().lower()


async def answers(one, port, path, status):
    try:
        return (await one.get(port, path)).status_code == status
    except httpx.TransportError:
        return False


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.05)


def test_envoy_takes_every_form_of_it(tmp_path):
    checks = [
        Probe(container=name, kind=kind, check=check, timeout_s=3, period_s=1)
        for kind in ("liveness", "readiness", "startup")
        for name, check in (
            ("http", HttpCheck(port=1, path="/a?b=c")),
            ("https", HttpCheck(port=2, tls=True)),
            ("tcp", TcpCheck(port=3)),
            ("grpc", GrpcCheck(port=4, service="a.B")),
        )
    ]
    Mount(tmp_path / "mount").put(files(Authority()))
    for number, some in enumerate(((), checks)):
        path = tmp_path / f"{number}.json"
        path.write_text(text(pod_bootstrap(sidecar(tmp_path, 1), checks=tuple(some), metrics=bool(some))))
        command = [str(binary.find()), "--mode", "validate", "--config-path", str(path), "--log-level", "warning"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ran.returncode, "deprecated" in ran.stderr.lower()) == (0, False), ran.stderr


async def test_what_only_reads_is_shown_and_nothing_else(tmp_path):
    async with pod(tmp_path) as (one, _, _):
        for page in READ_ONLY:
            assert (await one.get(ports.ADMIN, f"/{page}")).status_code == 200, page
        dump = await one.get(ports.ADMIN, "/config_dump?include_eds")
        assert PROXY in dump.text
        assert "PRIVATE KEY" not in dump.text
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            for method, path in (
                ("POST", "/quitquitquit"),
                ("GET", "/quitquitquit"),
                ("POST", "/drain_listeners"),
                ("POST", "/logging?level=trace"),
                ("POST", "/healthcheck/fail"),
                ("POST", "/stats/../quitquitquit"),
                ("GET", "/"),
                ("GET", "/runtime"),
            ):
                refused = await client.request(method, one.url(ports.ADMIN, path))
                assert (refused.status_code, "not allowed" in refused.text) == (403, True), path
            for path in ("/stats%2f..%2fquitquitquit", "//quitquitquit", "/quitquitquit?/stats"):
                assert (await client.post(one.url(ports.ADMIN, path))).status_code == 403, path
        for path in ("/stats/../quitquitquit", "/./quitquitquit"):
            assert b" 403 " in await one.post_as_it_is(ports.ADMIN, path), path
        assert one.process.alive


async def test_a_sidecar_that_waits_for_its_configuration_can_be_looked_into(tmp_path):
    """When it is wanted most; nothing else of it answers then, so kubelet waits too."""
    mount = Mount(tmp_path / "mount")
    mount.put(files(Authority()))
    async with started(tmp_path, pod_bootstrap(sidecar(tmp_path, 1)), mount) as one:
        await until(lambda: answers(one, ports.ADMIN, "/config_dump", 200))
        assert "osm-xds::" in (await one.get(ports.ADMIN, "/clusters")).text
        assert (await one.get(ports.ADMIN, "/ready")).status_code == 503
        assert not await answers(one, ports.READY, "/ready", 200)


async def test_prometheus_and_kubelet_see_their_page_alone(tmp_path):
    async with pod(tmp_path) as (one, _, _):
        measures = await one.get(ports.METRICS, "/stats/prometheus")
        assert "envoy_server_live" in measures.text
        assert (await one.get(ports.READY, "/ready")).text.strip() == "LIVE"
        for port, path in (
            (ports.METRICS, "/config_dump"),
            (ports.METRICS, "/stats/prometheus?usedonly"),
            (ports.READY, "/stats"),
            (ports.READY, "/healthcheck/fail"),
        ):
            assert (await one.get(port, path)).status_code == 404, path
        async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
            assert (await client.post(one.url(ports.READY, "/ready"))).status_code == 404


async def serve_http(answers, asked, tls=None):
    """An app that answers each path as told, and records what it was asked."""

    async def one(reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        path = head.split(" ")[1]
        asked.append(head)
        status, headers = answers.get(path, (404, ""))
        if status == 0:
            await reader.read()  # until who asked gives up
            writer.close()
            return
        writer.write(f"HTTP/1.1 {status} X\r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    return await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)


def port_of(server):
    return server.sockets[0].getsockname()[1]


async def test_an_http_probe_reaches_the_app_at_its_own_path_and_port(tmp_path):
    asked = []
    answers = {
        "/well?deep=1": (204, ""),
        "/ill": (500, ""),
        "/moved": (302, "location: /login\r\n"),
        "/slow": (0, ""),
        "/a%20b": (200, ""),
    }
    app = await serve_http(answers, asked)

    def http(container, path, timeout_s=20):
        check = HttpCheck(port=port_of(app), path=path)
        return Probe(container=container, kind="liveness", check=check, timeout_s=timeout_s)

    well, ill, gone = http("well", "/well?deep=1"), http("ill", "/ill"), http("moved", "/moved")
    slow, spaced = http("slow", "/slow", timeout_s=1), http("spaced", "/a b")
    try:
        async with pod(tmp_path, (well, ill, gone, slow, spaced)) as (one, _, _):
            assert (await one.probe(well)).status_code == 204
            assert asked[-1].startswith("GET /well?deep=1 HTTP/1.1\r\n")
            assert "x-envoy" not in asked[-1].lower()
            assert (await one.probe(ill)).status_code == 500
            assert (await one.probe(spaced)).status_code == 200
            redirected = await one.probe(gone)
            assert (redirected.status_code, "location" in redirected.headers) == (302, False)
            began_s = time.monotonic()
            assert (await one.probe(slow)).status_code == 504
            assert time.monotonic() - began_s >= 0.9
            named = await one.get(ports.LIVENESS, path_of(well), headers={"host": "shop.example", "x-from": "kubelet"})
            assert named.status_code == 204
            assert "host: shop.example" in asked[-1].lower()
            assert "x-from: kubelet" in asked[-1].lower()
    finally:
        app.close()


async def test_nothing_else_of_the_app_is_reached_by_a_probes_port(tmp_path):
    asked = []
    app = await serve_http({"/well": (200, "")}, asked)
    well = Probe(container="web", kind="liveness", check=HttpCheck(port=port_of(app), path="/well"), timeout_s=20)
    try:
        async with pod(tmp_path, (well,)) as (one, _, _):
            for path in (
                "/well",
                "/",
                "/osm-liveness-probe/web?x=1",
                "/osm-liveness-probe/web/../../admin",
                "/osm-liveness-probe/web/",
                "/osm-liveness-probe/web;x",
                "/osm-readiness-probe/web",
            ):
                assert (await one.get(ports.LIVENESS, path)).status_code == 404, path
            async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
                for method in ("POST", "HEAD", "DELETE", "OPTIONS"):
                    refused = await client.request(method, one.url(ports.LIVENESS, path_of(well)))
                    assert refused.status_code == 404, method
            assert asked == []
            assert (await one.probe(well)).status_code == 200
    finally:
        app.close()


async def test_several_https_probes_of_one_kind_work_and_nobody_is_verified(tmp_path):
    strange, certificate, asked = Authority("elsewhere.example"), ServerCertificate(), []
    proof = strange.server()
    certificate.put(key_pem=proof.key_pem.decode(), chain_pem=proof.chain_pem.decode())
    apps = [await serve_http({"/": (status, "")}, asked, certificate.context) for status in (200, 503)]
    probes = [
        Probe(container=name, kind="readiness", check=HttpCheck(port=port_of(app), tls=True), timeout_s=20)
        for name, app in zip(("a", "b"), apps, strict=True)
    ]
    try:
        async with pod(tmp_path, probes) as (one, _, _):
            assert [(await one.probe(probe)).status_code for probe in probes] == [200, 503]
    finally:
        for app in apps:
            app.close()


async def test_a_tcp_probe_says_whether_the_app_accepts_connections(tmp_path):
    port = free_port()
    probe = Probe(container="db", kind="startup", check=TcpCheck(port=port), period_s=1)

    async def accept(_, writer):
        writer.close()

    async with pod(tmp_path, (probe,)) as (one, _, _):
        assert (await one.probe(probe)).status_code == 503, "nobody listens yet"
        app = await asyncio.start_server(accept, "127.0.0.1", port)

        async def status(wanted):
            return (await one.probe(probe)).status_code == wanted

        await until(lambda: status(200))
        app.close()
        await app.wait_closed()
        await until(lambda: status(503))
        assert (await one.get(ports.STARTUP, "/osm-startup-probe/other")).status_code == 404


async def test_a_grpc_probe_says_what_the_apps_health_service_says(tmp_path):
    serving, asked = [True], []

    async def check(request, _):
        asked.append(request)
        return b"\x08\x01" if serving[0] else b"\x08\x02"  # HealthCheckResponse: SERVING, NOT_SERVING

    app = grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(check)
    app.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": method})])
    port = app.add_insecure_port("127.0.0.1:0")
    await app.start()
    probe = Probe(container="rpc", kind="readiness", check=GrpcCheck(port=port, service="a.B"), period_s=1)
    try:
        async with pod(tmp_path, (probe,)) as (one, _, _):

            async def status(wanted):
                return (await one.probe(probe)).status_code == wanted

            await until(lambda: status(200))
            assert asked[-1] == b"\x0a\x03a.B"
            serving[0] = False
            await until(lambda: status(503))
    finally:
        await app.stop(None)


async def test_a_renewed_secret_is_taken_up_when_its_link_is_moved(tmp_path):
    """As kubelet does it; the stream of the old certificate ends with it, and the next shows the new one."""
    async with pod(tmp_path, lifetime_s=SHORT_S) as (one, xds, authority):
        (old,) = xds.streams
        one.mount.put(files(authority))

        async def reconnected():
            return old not in xds.streams and len(xds.streams) == 1

        await until(reconnected)
        (stream,) = xds.streams.values()
        assert stream.peer.not_after.timestamp() > time.time() + 10 * SHORT_S
