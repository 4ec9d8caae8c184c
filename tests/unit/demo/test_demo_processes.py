import json
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Callable

import pytest

from demo.process import Address, given, listen_address


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, Address("0.0.0.0", 14001)),
        ({"POD_IP": "10.1.2.3"}, Address("0.0.0.0", 14001)),
        ({"POD_IP": "127.7.0.3"}, Address("127.7.0.3", 14001)),
        ({"POD_IP": "not an address"}, Address("0.0.0.0", 14001)),
        ({"POD_IP": "127.7.0.3", "BIND_HOST": "10.1.2.3"}, Address("10.1.2.3", 14001)),
        ({"OSM_BIND_HOST": "127.0.0.1", "OSM_BIND_PORT_14001": "20000"}, Address("127.0.0.1", 20000)),
    ],
)
def test_an_app_shares_loopback_politely_and_takes_the_wildcard_elsewhere(
    environ: dict[str, str], expected: Address
) -> None:
    assert listen_address(14001, environ) == expected


@pytest.mark.parametrize("value", [None, "", "$(OSM_UPSTREAM_ECHO_ECHO_SERVER_9000)"])
def test_a_variable_that_was_not_expanded_counts_as_absent(value: str | None) -> None:
    assert given(value, "echo-server:9000") == "echo-server:9000"
    assert given("127.0.0.1:9", "echo-server:9000") == "127.0.0.1:9"


def test_buyer_store_and_warehouse_find_each_other_by_their_variables(
    start_app: Callable[..., subprocess.Popen[str]], free_port: Callable[[], int]
) -> None:
    warehouse, store, buyer = free_port(), free_port(), free_port()
    start_app("demo.bookwarehouse", {14001: warehouse})
    start_app(
        "demo.bookstore",
        {14001: store},
        IDENTITY="bookstore-v1",
        BOOKWAREHOUSE_URL=f"http://127.0.0.1:{warehouse}/restock-books",
    )
    start_app("demo.bookbuyer", {14001: buyer}, BOOKSTORE_URL=f"http://127.0.0.1:{store}", RATE="0")
    burst = urllib.request.Request(f"http://127.0.0.1:{buyer}/burst?n=200", method="POST")
    with urllib.request.urlopen(burst) as answer:
        assert json.load(answer)["identities"] == {"bookstore-v1": 200}
    with urllib.request.urlopen(f"http://127.0.0.1:{store}/raw") as answer:
        assert json.load(answer)["requests_by_client"] == {"bookbuyer": 200}


@pytest.mark.parametrize("module", ["demo.bookthief", "demo.bookstore", "demo.bookwarehouse", "demo.echo_client"])
def test_sigterm_ends_an_app_at_once_though_a_connection_is_open(
    start_app: Callable[..., subprocess.Popen[str]], free_port: Callable[[], int], module: str
) -> None:
    port = free_port()
    process = start_app(module, {14001: port}, BOOKSTORE_URL="http://127.0.0.1:1")
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in output
    assert f"listening on 127.0.0.1:{port}" in output


@pytest.mark.parametrize(
    ("module", "container_port"), [("demo.bookstore", 14001), ("demo.echo_server", 9090), ("demo.echo_server", 8080)]
)
def test_a_taken_address_is_one_line_and_exit_code_1(
    start_app: Callable[..., subprocess.Popen[str]], free_port: Callable[[], int], module: str, container_port: int
) -> None:
    ports = {port: free_port() for port in (8080, 8081, 9000, 9090, 14001)}
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[container_port]))
        taken.listen()
        variables = {f"OSM_BIND_PORT_{port}": str(real) for port, real in ports.items()}
        process = start_app(module, {}, **variables)
        output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert str(ports[container_port]) in output.splitlines()[-1]
    assert "Traceback" not in output


def test_a_rate_out_of_bounds_is_said_at_the_start(start_app: Callable[..., subprocess.Popen[str]]) -> None:
    process = start_app("demo.bookbuyer", {}, RATE="fast")
    output, _ = process.communicate(timeout=20)
    assert output == "bookbuyer: RATE is 'fast'; it must be a number from 0 to 500\n"
    assert process.returncode == 1
