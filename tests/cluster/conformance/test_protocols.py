"""What ports speak: HTTP, gRPC, WebSocket, TCP, servers that speak first, TLS of the app's own; and where they lead."""

import json
import urllib.parse
from collections.abc import Iterator

import pytest

from tests.cluster.conformance.policies import target
from tests.cluster.conformance.stage import CHANGED_WITHIN_S, HOME, NO_WAY, Stage
from tests.cluster.conformance.workloads import CLIENT, REPLICAS, SERVER

ALONE = f"{CLIENT}/alone"
GUARDED = f"tcp://guarded.{SERVER}:9000"
THERE_AND_BACK = "there and back"


@pytest.fixture(scope="module")
def web(mesh: Stage) -> Iterator[None]:
    """The clients, and the replicas themselves, may call the account `web`."""
    with mesh.policies(SERVER, target("web", sources=(f"{CLIENT}/client", f"{CLIENT}/alone", f"{SERVER}/web"))):
        yield


def test_tcp_goes_there_and_back_until_the_target_is_deleted(mesh: Stage) -> None:
    with mesh.policies(SERVER, target("guarded")):
        mesh.becomes(ALONE, GUARDED, THERE_AND_BACK)
    mesh.becomes(ALONE, GUARDED, NO_WAY)


def test_tcp_goes_there_and_back_in_permissive_mode(mesh: Stage) -> None:
    with mesh.configured("traffic", enablePermissiveTrafficPolicyMode=True):
        mesh.becomes(ALONE, GUARDED, THERE_AND_BACK)
    mesh.becomes(ALONE, GUARDED, NO_WAY)


def test_a_server_may_speak_first(mesh: Stage, web: None) -> None:
    mesh.becomes(ALONE, f"first://web.{SERVER}:9001", "hello", 10)


def test_two_services_of_the_same_pods_both_answer(mesh: Stage, web: None) -> None:
    for url in (f"http://web.{SERVER}/", f"http://web-too.{SERVER}:8080/"):
        mesh.becomes(ALONE, url, "200", 5)


def test_each_port_of_a_service_leads_to_its_own_port_of_the_app(mesh: Stage, web: None) -> None:
    for number, of_app in ((80, 8080), (8090, 8081)):  # 80 leads to a port that has a name
        found = mesh.becomes(ALONE, f"http://web.{SERVER}:{number}/", "200", 10)
        assert {each["port"] for each in found} == {of_app}
    mesh.becomes(ALONE, f"tcp://web.{SERVER}:9000", THERE_AND_BACK, 10)


def test_each_replica_of_a_stateful_set_is_reached_by_its_own_name(mesh: Stage, web: None) -> None:
    for number in range(REPLICAS):
        found = mesh.becomes(ALONE, f"http://web-{number}.headless.{SERVER}.svc.cluster.local:8080/", "200")
        assert {each["by"] for each in found} == {f"web-{number}"}


def test_replicas_of_a_stateful_set_find_each_other(mesh: Stage, web: None) -> None:
    for number in range(1, REPLICAS):
        mesh.becomes(f"{SERVER}/web-0", f"tcp://web-{number}.headless.{SERVER}:9000", THERE_AND_BACK)


def test_an_app_reaches_itself_through_its_service(mesh: Stage) -> None:
    with mesh.policies(SERVER, target("guarded", sources=(f"{SERVER}/guarded",))):
        mesh.becomes(f"{SERVER}/guarded", f"http://guarded.{SERVER}:8080/", "200")


def test_an_app_reaches_itself_without_the_mesh(mesh: Stage) -> None:
    mesh.becomes(f"{SERVER}/guarded", "http://127.0.0.1:8080/", "200")


@pytest.mark.parametrize("protocol", ["http1", "h2c", "websocket", "grpc", "tcp"])
def test_every_protocol_is_echoed(mesh: Stage, protocol: str) -> None:
    messages = 20
    with mesh.policies(SERVER, target("echo")):
        mesh.in_force("traffictarget", f"{SERVER}/to-echo")
        mesh.becomes(ALONE, f"tcp://echo.{SERVER}:9000", THERE_AND_BACK)
        report = json.loads(mesh.run(ALONE, "probe.py", protocol, messages, f"echo.{SERVER}"))
    assert (report["sent"], report["echoed"], report["failures"]) == (messages, messages, [])


def test_a_grpc_server_is_healthy_over_http_routes(mesh: Stage) -> None:
    with mesh.policies(SERVER, target("probed")):
        assert mesh.run(ALONE, "health.py", f"probed.{SERVER}:9090", CHANGED_WITHIN_S) == "serving\n"


def test_a_grpc_server_with_tls_of_its_own_is_healthy_over_tcp_routes(mesh: Stage) -> None:
    with mesh.policies(SERVER, target("probed")):
        assert mesh.run(ALONE, "health.py", f"probed.{SERVER}:9443", CHANGED_WITHIN_S, "tls") == "serving\n"


@pytest.mark.parametrize("newest", ["1.2", "1.3"])
def test_sidecars_speak_the_newest_tls_that_the_mesh_config_allows(mesh: Stage, newest: str) -> None:
    spoken = f"cluster.{SERVER}/guarded|8080.ssl.versions.TLSv{newest}"
    versions = {f"tls{end}ProtocolVersion": f"TLSv{newest.replace('.', '_')}" for end in ("Min", "Max")}
    with mesh.policies(SERVER, target("guarded")), mesh.configured("sidecar", **versions):
        mesh.in_force("meshconfig", f"{HOME}/osm-mesh-config")
        before = mesh.stats(ALONE).get(spoken, 0)
        mesh.becomes(ALONE, f"http://guarded.{SERVER}:8080/", "200")
        assert mesh.stats(ALONE).get(spoken, 0) > before


def test_a_server_is_told_its_callers_spiffe_identity(mesh: Stage, web: None) -> None:
    found = mesh.becomes(ALONE, f"http://web.{SERVER}/", "200")
    for each in found:
        caller = urllib.parse.unquote(each["headers"]["x-forwarded-client-cert"])
        assert f"URI=spiffe://cluster.local/ns/{CLIENT}/sa/alone" in caller
