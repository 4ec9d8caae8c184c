"""Workloads in networks of their own: the data path of pods, without a cluster and without root.

What is asked here is asked from inside a workload's namespaces, by a program that knows of no proxy.
"""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from osm.isolation import capability, network
from osm.isolation.network import HOST_NAME
from osm.testing.inside import Outcome, ask, enter
from osm.testing.manifests import (
    documents,
    egress,
    http,
    mesh_config,
    route_group,
    service,
    target,
    tcp,
    tcp_route,
    workload,
)
from osm.testing.mesh import MeshProcess, mesh_process, osm, program
from tests.e2e.outside import Outside, outside
from tests.not_run import not_run

pytestmark = [pytest.mark.isolated, pytest.mark.timeout(300)]

CHECK_STEPS = 14
CHECK_WITHIN_S = 240.0

API, WEB, STRANGER = "api-0.shop", "web-0.front", "stranger-0.back"
ALWAYS = 3

MANIFESTS = documents(
    workload(("shop", "api"), "8080", "tcp:9000"),
    service(("shop", "api"), "8080", "80:8080", "9000/tcp"),
    workload(("front", "web"), "8080"),
    service(("front", "web"), "8080"),
    workload(("back", "stranger"), "8080"),
    route_group(("shop", "paths"), read={"pathRegex": "/books", "methods": ["GET"]}),
    tcp_route(("shop", "bytes"), 9000),
    target(("shop", "web-reads"), http("paths"), tcp("bytes"), to="api", sources=[("front", "web")]),
)


@pytest.fixture(scope="module", autouse=True)
def _machine_can() -> None:
    """Where it cannot, tests are reported as not run, with the reason; CI fails."""
    found = capability.obstacle()
    if found is not None:
        not_run(f"a mesh cannot be isolated here: {found.what}; {found.remedy}")


@pytest.fixture(scope="module")
def mesh(home: Path) -> Iterator[MeshProcess]:
    folder = home / "manifests"
    folder.mkdir()
    (folder / "mesh.yaml").write_text(MANIFESTS)
    (folder / "config.yaml").write_text(mesh_config(enableEgress=False))
    arguments = ("up", "--isolated", "-f", str(folder), "--ca-folder", str(home / "ca"))
    with mesh_process(*arguments, name="isolated", home=home, folder=folder) as running:
        running.until(lambda: running.output().count("ready ") >= ALWAYS, "all workloads ready")
        yield running
        assert running.end() == 130
    assert not running.leftovers()
    assert "Traceback" not in running.output()


@pytest.fixture
async def it(mesh: MeshProcess) -> "object":
    async with outside(mesh) as found:
        await found.in_service(ALWAYS)
        await found.no_problem()
        yield found


def pid_of(it: Outside, workload: str) -> int:
    pid = it.board.processes()[workload].app_pid
    assert pid is not None
    return pid


def address_of(it: Outside, workload: str) -> str:
    """The workload's own."""
    shown = subprocess.run(
        enter(pid_of(it, workload), "ip", "-json", "addr", "show", "eth0"), capture_output=True, check=True
    )
    return str(json.loads(shown.stdout)[0]["addr_info"][0]["local"])


def send(it: Outside, workload: str, url: str) -> Outcome:
    return ask(pid_of(it, workload), url)


def until(told: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + 60.0
    while not told():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.05)


@pytest.mark.parametrize("name", ["api.shop", "api.shop.svc", "api.shop.svc.cluster.local"])
async def test_an_allowed_caller_reaches_a_service_by_each_of_its_names(it: Outside, name: str) -> None:
    answer = send(it, WEB, f"http://{name}:8080/books")
    assert answer.status == 200, answer
    told = json.loads(answer.said)
    assert told["by"] == "api-0"
    assert "spiffe://cluster.local/ns/front/sa/web" in told["headers"]["x-forwarded-client-cert"]


async def test_a_service_port_may_differ_from_the_target_port(it: Outside) -> None:
    assert send(it, WEB, "http://api.shop:80/books").status == 200


async def test_a_path_that_no_policy_allows_is_not_served(it: Outside) -> None:
    assert send(it, WEB, "http://api.shop:8080/secrets").status in (403, 404)


async def test_tcp_passes_under_its_policy(it: Outside) -> None:
    assert send(it, WEB, "tcp://api.shop:9000").said == "echo\n"
    assert send(it, STRANGER, "tcp://api.shop:9000").why in ("refused", "closed")


async def test_who_may_call_nobody_is_refused_at_once(it: Outside) -> None:
    assert send(it, STRANGER, "http://api.shop:8080/books") == Outcome(why="refused")


async def test_no_app_is_told_of_a_proxy(it: Outside) -> None:
    for workload_id in (API, WEB, STRANGER):
        environment = Path(f"/proc/{pid_of(it, workload_id)}/environ").read_text().lower()
        assert "_proxy=" not in environment


async def test_a_direct_dial_of_another_app_is_caught(it: Outside) -> None:
    """Of the friend too: what is allowed is the service, over mutual TLS, not a plain connection."""
    there = address_of(it, API)
    for caller in (WEB, STRANGER):
        assert send(it, caller, f"http://{there}:8080/books").why in ("refused", "closed")
    assert send(it, API, f"http://{there}:8080/books").status == 200  # its own port it reaches, as in a pod


async def test_a_direct_dial_with_egress_on_is_caught_by_the_servers_sidecar(it: Outside) -> None:
    there = address_of(it, API)
    await it.change(lambda: it.mesh.put("config.yaml", mesh_config(enableEgress=True)))
    try:
        for caller in (WEB, STRANGER):
            assert send(it, caller, f"http://{there}:8080/books").why == "closed"
    finally:
        await it.change(lambda: it.mesh.put("config.yaml", mesh_config(enableEgress=False)))


async def test_every_app_listens_on_the_same_port_of_an_address_of_its_own(it: Outside) -> None:
    addresses = {address_of(it, each) for each in (API, WEB, STRANGER)}
    assert len(addresses) == ALWAYS
    for each in (API, WEB, STRANGER):
        environment = Path(f"/proc/{pid_of(it, each)}/environ").read_text().split("\0")
        assert "OSM_BIND_HOST=0.0.0.0" in environment


async def test_the_outside_is_reached_with_egress_and_not_without(it: Outside) -> None:
    with _server_outside() as port:
        url = f"http://{HOST_NAME}:{port}/"
        assert send(it, WEB, url).why in ("refused", "closed")
        assert send(it, STRANGER, url).why in ("refused", "closed")
        await it.change(lambda: it.mesh.put("config.yaml", mesh_config(enableEgress=True)))
        try:
            assert send(it, WEB, url).said == "from outside"
            assert send(it, STRANGER, url).said == "from outside"
        finally:
            await it.change(lambda: it.mesh.put("config.yaml", mesh_config(enableEgress=False)))


async def test_a_host_outside_is_reached_by_policy_and_by_nobody_else(it: Outside) -> None:
    with _server_outside() as port:
        url = f"http://{HOST_NAME}:{port}/"
        opened = egress(("front", "out"), "http", port, HOST_NAME, source=("front", "web"))
        async with it.policies(opened, file="egress.yaml"):
            assert send(it, WEB, url).said == "from outside"
            assert send(it, STRANGER, url).why in ("refused", "closed")
        assert send(it, WEB, url).why in ("refused", "closed")


async def test_a_port_outside_that_nobody_listens_on_is_no_connection(it: Outside) -> None:
    with _server_outside() as port:
        pass
    await it.change(lambda: it.mesh.put("config.yaml", mesh_config(enableEgress=True)))
    try:
        assert send(it, WEB, f"http://{HOST_NAME}:{port}/").why == "closed"
    finally:
        await it.change(lambda: it.mesh.put("config.yaml", mesh_config(enableEgress=False)))


@contextmanager
def _server_outside() -> Iterator[int]:
    """On this machine's own loopback, where no workload is."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "12")
            self.end_headers()
            self.wfile.write(b"from outside")

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


async def test_a_sidecars_own_port_leads_nowhere(it: Outside) -> None:
    """Seen before it was closed: the connection was passed on to itself until the sidecar had no descriptors left."""
    await it.change(lambda: it.mesh.put("config.yaml", mesh_config(enableEgress=True)))
    try:
        for host in ("127.0.0.1", address_of(it, STRANGER)):
            for port in (15001, 15003):
                assert send(it, STRANGER, f"http://{host}:{port}/").why in ("refused", "closed")
        assert send(it, WEB, "http://api.shop:8080/books").status == 200
    finally:
        await it.change(lambda: it.mesh.put("config.yaml", mesh_config(enableEgress=False)))


async def test_an_app_calls_itself_through_its_service(it: Outside) -> None:
    permissive = mesh_config(enablePermissiveTrafficPolicyMode=True)
    await it.change(lambda: it.mesh.put("config.yaml", permissive))
    try:
        answer = send(it, API, "http://api:8080/anything")
        assert answer.status == 200, answer
        assert "spiffe://cluster.local/ns/shop/sa/api" in json.loads(answer.said)["headers"]["x-forwarded-client-cert"]
        assert send(it, STRANGER, "http://api.shop:8080/anything").status == 200
    finally:
        await it.change(lambda: it.mesh.put("config.yaml", mesh_config(enableEgress=False)))


async def test_a_new_service_has_a_name_in_apps_that_run(it: Outside) -> None:
    pid = pid_of(it, WEB)
    assert send(it, WEB, "http://later.shop:8080/books").why == "unresolved"
    it.mesh.put("later.yaml", service(("shop", "later"), "8080", app="api"))
    try:
        until(lambda: send(it, WEB, "http://later.shop:8080/books").status == 200, "the new service")
        assert pid_of(it, WEB) == pid
    finally:
        it.mesh.remove("later.yaml")
    until(lambda: send(it, WEB, "http://later.shop:8080/books").why == "unresolved", "the service's end")


async def test_an_app_is_reached_by_its_user_through_its_door(it: Outside) -> None:
    ((port, door), *_) = it.board.processes()[API].app_addresses
    assert port == 8080
    done = subprocess.run(
        ["curl", "-s", "--unix-socket", door.removeprefix("unix:"), "http://api/books"], capture_output=True, check=True
    )
    assert json.loads(done.stdout)["by"] == "api-0"


async def test_an_app_has_no_power_to_leave_or_to_pose_as_its_sidecar(it: Outside) -> None:
    status = Path(f"/proc/{pid_of(it, WEB)}/status").read_text()
    powers = {line.split()[0]: int(line.split()[1], 16) for line in status.splitlines() if line.startswith("Cap")}
    net_bind_service = 1 << 10  # linux/capability.h
    assert all(power & ~net_bind_service == 0 for power in powers.values())
    assert "NoNewPrivs:\t1" in status


def test_the_demo_proves_every_claim_where_traffic_is_redirected(home: Path, name: str) -> None:
    with mesh_process("demo", "--isolated", "--check", "-o", "json", name=name, home=home) as mesh:
        status = mesh.wait(CHECK_WITHIN_S)
    told = json.loads(mesh.output()[mesh.output().index("{") :])
    assert [step["name"] for step in told["steps"] if not step["passed"]] == [], mesh.output()
    assert len(told["steps"]) == CHECK_STEPS
    assert status == 0
    assert not mesh.leftovers()


def test_a_killed_mesh_takes_its_networks_along(home: Path, name: str) -> None:
    with mesh_process("demo", "--isolated", name=name, home=home) as mesh:
        mesh.until_printed("manifests to edit: ", within_s=60.0)
        space = Path(f"/proc/{mesh.pid}/ns/net").stat().st_ino
        mesh.end(signal.SIGKILL)
        mesh.until_gone()
    until(lambda: space not in _spaces(), "the end of every process inside")
    assert not Path("/sys/class/net", network.BRIDGE).exists()
    shutil.rmtree(mesh.run_folder)  # nobody was left to remove it


def _spaces() -> set[int]:
    """The network namespaces that processes are in."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.add((process / "ns" / "net").stat().st_ino)
        except OSError:
            continue
    return found


_FORBID = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
FORBIDDEN = ("unshare", "--user", "--map-root-user", "sh", "-c", _FORBID, "sh")
"""What starts a program where the kernel really refuses: in a user namespace that allows no further one."""


def test_an_order_that_cannot_be_met_is_told_at_once(home: Path, tmp_path: Path) -> None:
    began_s = time.monotonic()
    done = subprocess.run(
        [*FORBIDDEN, program(), "up", "--isolated", "-f", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(home)},
    )
    print(f"told after {time.monotonic() - began_s:.2f} s")  # noqa: T201  # told, not judged
    assert done.returncode == 1
    assert "a mesh cannot be isolated on this machine: user namespaces are forbidden here" in done.stderr
    assert "sudo sysctl -w user.max_user_namespaces=15000" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_an_order_the_mode_is_chosen_and_said(home: Path, name: str) -> None:
    """Asked of a name that is taken, so that nothing more is started."""
    with mesh_process("demo", "--isolated", name=name, home=home) as mesh:
        mesh.until((mesh.run_folder / "mesh.sock").exists, "the mesh")
        chosen = osm("demo", "--name", name, home=home)
        ordered = osm("demo", "--explicit", "--name", name, home=home)
        elsewhere = osm("demo", "--isolated", "--bus", "nats://192.0.2.1:4222", home=home)
    assert "isolated: every workload in a network of its own" in chosen.err
    assert "isolated" not in ordered.err
    assert all("runs here already" in each.err for each in (chosen, ordered))
    assert "its services could not reach a bus that is elsewhere" in elsewhere.err


def test_a_machine_that_cannot_gets_the_explicit_mode_and_the_reason(home: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("kind: [")
    command = (*FORBIDDEN, program(), "up", "-f", str(tmp_path), "--bus", "nowhere://")
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": str(home)})
    assert done.returncode == 2  # asked wrongly, which is told before anything is tried
    command = (*FORBIDDEN, program(), "up", "-f", str(tmp_path), "--bus", "nats")
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TMPDIR": str(home), "OSM_NATS_SERVER": "/nowhere"},
    )
    assert "explicit: workloads share this machine's loopback, for user namespaces are forbidden here" in done.stderr
