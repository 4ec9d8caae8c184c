"""Starts the demo's apps as a platform would: as processes of their own, told by variables where to listen."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from osm.testing import free_ports

ROOT = Path(__file__).parents[3]
START_TIMEOUT_S = 20.0

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever proxy this machine uses has no part in these tests."""
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def free_port() -> Callable[[], int]:
    return free_ports.free_port


@pytest.fixture
def start_app() -> Iterator[Start]:
    """Return a function that starts `python -m module`; `ports` maps container ports to real ones."""
    started: list[subprocess.Popen[str]] = []

    def start(module: str, ports: dict[int, int], **variables: str) -> subprocess.Popen[str]:
        moved = {f"OSM_BIND_PORT_{port}": str(real) for port, real in ports.items()}
        inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=inherited | {"BIND_HOST": "127.0.0.1"} | moved | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        for port in ports.values():
            _wait_until_open(process, port)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def _wait_until_open(process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline, f"{process.args!r} does not listen on {port}"
        time.sleep(0.02)
    pytest.fail(f"{process.args!r} ended: {process.communicate()[0]}")
