import signal
import subprocess
from collections.abc import AsyncIterator, Callable

import pytest

from demo.echo_client import EchoClient, targets
from demo.http_client import HttpClient
from demo.http_server import Request, Response, listen, text
from demo.probes import PROTOCOLS, probe

CONTAINER_PORTS = (8080, 8081, 9000, 9090)


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient() as http:
        yield http


def where(ports: dict[int, int]) -> dict[str, str]:
    return targets(
        {
            "ECHO_URL": f"http://127.0.0.1:{ports[8080]}",
            "ECHO_WEBSOCKET": f"127.0.0.1:{ports[8080]}",
            "ECHO_H2C": f"127.0.0.1:{ports[8081]}",
            "ECHO_GRPC": f"127.0.0.1:{ports[9090]}",
            "ECHO_TCP": f"127.0.0.1:{ports[9000]}",
        }
    )


async def test_every_protocol_brings_back_what_was_sent(
    start_app: Callable[..., subprocess.Popen[str]],
    free_port: Callable[[], int],
    client: HttpClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ports = {port: free_port() for port in CONTAINER_PORTS}
    server = start_app("demo.echo_server", ports)
    for protocol in PROTOCOLS:
        if protocol != "http1":  # what does not speak to a proxy must not be led astray by one
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        else:
            monkeypatch.delenv("http_proxy", raising=False)
        report = await probe(protocol, 20, where(ports), client)
        assert (report.failures, report.sent, report.echoed) == ([], 20, 20), protocol
        seen = {"http1": {"1.1": 20}, "h2c": {"2": 20}}.get(protocol, {})
        assert report.http_versions == seen
    server.send_signal(signal.SIGTERM)
    output, _ = server.communicate(timeout=20)
    assert server.returncode == 0
    assert "Traceback" not in output


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_server_that_is_away_is_a_failure_in_the_report(
    free_port: Callable[[], int], client: HttpClient, protocol: str
) -> None:
    report = await probe(protocol, 3, where(dict.fromkeys(CONTAINER_PORTS, free_port())), client)
    assert report.echoed == 0
    assert report.failures


async def test_a_wrong_echo_is_a_failure(client: HttpClient) -> None:
    async with listen({("POST", "/echo"): lambda _: text("something else")}, "127.0.0.1", 0) as port:
        report = await probe("http1", 1, where(dict.fromkeys(CONTAINER_PORTS, port)), client)
    assert report.failures == ["message 1: sent b'http1 message 0', got b'something else\\n'"]


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"protocol": "udp"}, "protocol is 'udp'; it must be one of grpc, h2c, http1, tcp, websocket"),
        ({"protocol": "tcp", "n": "0"}, "n is 0; it must be from 1 to 10000"),
    ],
)
async def test_a_probe_that_cannot_be_is_answered_400(client: HttpClient, query: dict[str, str], sentence: str) -> None:
    route = EchoClient(targets({}), client).routes()["POST", "/probe"]
    answering = route(Request(method="POST", path="/probe", query=query))
    assert not isinstance(answering, Response)
    response = await answering
    assert (response.status, response.body.decode().strip()) == (400, sentence)


def test_on_a_cluster_every_protocol_goes_to_the_services_name() -> None:
    unexpanded = {"ECHO_TCP": "$(OSM_UPSTREAM_ECHO_ECHO_SERVER_9000)"}
    assert targets(unexpanded)["tcp"] == "echo-server.echo.svc.cluster.local:9000"
