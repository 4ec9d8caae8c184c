import asyncio
import os
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from osm.contracts.names import Address
from osm.testing.free_ports import free_port
from services.local import listeners, program_problems
from services.local.environment import inherited
from services.local.plan_types import Check, Program
from services.local.supervise import Backoff, Place, Supervised

HOST = "127.201.0.2"
SERVE = """
import socket, sys, time
with socket.create_server((sys.argv[1], int(sys.argv[2]))) as server:
    print("listening", flush=True)
    while True:
        server.accept()[0].close()
"""
SWIFT = Backoff(first_s=0.01, most_s=0.01)


def program(*argv, port=None, own=(), check=True):
    listens = (Address(HOST, port),) if port else ()
    return Program(
        name="app",
        argv=argv,
        own=own,
        platform=(("OSM_BIND_HOST", HOST),),
        listens=listens,
        check=Check(address=listens[0], once=True) if port and check else None,
        field="spec.containers[0]",
    )


class Watched:
    """A supervised program and the states it went through."""

    def __init__(self, what, folder, backoff=SWIFT):
        machine = inherited(os.environ, str(Path(sys.executable).parent))
        (folder / "work").mkdir()
        self.states = []
        self._moved = asyncio.Event()
        place = Place(folder=folder / "work", log=folder / "app.log", inherited=machine)
        self.supervised = Supervised(what, place, self._changed, backoff)

    def _changed(self):
        self.states.append(self.supervised.state)
        self._moved.set()

    async def until(self, *states):
        """Wait until it went through these, in order."""
        async with asyncio.timeout(30):
            while not contains(self.states, states):
                self._moved.clear()
                await self._moved.wait()


def contains(seen, states):
    rest = iter(seen)
    return all(state in rest for state in states)


@asynccontextmanager
async def running(what, folder, backoff=SWIFT):
    watched = Watched(what, folder, backoff)
    task = asyncio.create_task(watched.supervised.run())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()


async def test_a_program_is_ready_once_it_listens(tmp_path):
    port = free_port(HOST)
    async with running(program("python3", "-c", SERVE, HOST, str(port), port=port), tmp_path) as watched:
        await watched.until("starting", "ready")
        assert watched.supervised.problem is None
        async with asyncio.timeout(30):
            while "listening" not in (tmp_path / "app.log").read_text():  # said a moment after it does
                await asyncio.sleep(0.01)


async def test_a_program_without_ports_is_ready_as_soon_as_it_runs(tmp_path):
    async with running(program("sleep", "60"), tmp_path) as watched:
        await watched.until("ready")


async def test_a_crash_makes_it_unready_at_once_and_it_is_started_again(tmp_path):
    async with running(program("sleep", "60"), tmp_path) as watched:
        await watched.until("ready")
        first = watched.supervised.pid
        os.kill(first, signal.SIGKILL)
        await watched.until("ready", "backoff", "ready")
        assert watched.supervised.restarts == 1
        assert watched.supervised.pid != first


async def test_a_program_that_ends_says_how_and_where_its_words_are(tmp_path):
    async with running(program("sh", "-c", "exit 3"), tmp_path, Backoff(first_s=600, most_s=600)) as watched:
        await watched.until("backoff")
        assert watched.supervised.why == f"ended with exit code 3; its last words are in {tmp_path / 'app.log'}"


async def test_a_command_that_does_not_exist_is_named(tmp_path):
    async with running(program("no-such-program"), tmp_path) as watched:
        await watched.until("failed")
        assert watched.supervised.problem.field == "command[0]"
        assert 'there is no program "no-such-program"' in watched.supervised.problem.what


async def test_a_program_that_takes_the_wildcard_address_is_stopped_and_told_what_to_add(tmp_path):
    port = free_port("0.0.0.0")
    async with running(program("python3", "-c", SERVE, "0.0.0.0", str(port), port=port), tmp_path) as watched:
        await watched.until("failed")
        assert "ready" not in watched.states
        assert watched.supervised.pid is None
        assert f"listens on 0.0.0.0:{port}" in watched.supervised.problem.what
        assert "fieldPath: status.podIP" in watched.supervised.problem.what


async def test_a_program_that_finds_its_port_taken_is_told_what_to_add(tmp_path):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        # the sidecar's part is played by this process: the wildcard collides with it
        what = program("python3", "-c", SERVE, "0.0.0.0", str(port), port=port, check=False)
        async with running(what, tmp_path, Backoff(first_s=600, most_s=600)) as watched:
            await watched.until("failed")
            assert f"found {port} taken" in watched.supervised.problem.what
            assert HOST in watched.supervised.problem.what


async def test_a_program_that_never_listens_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setattr(program_problems, "LISTEN_WITHIN_S", 0.0)
    port = free_port(HOST)
    async with running(program("sleep", "60", port=port), tmp_path) as watched:
        async with asyncio.timeout(30):
            while watched.supervised.problem is None:
                await asyncio.sleep(0.01)
        assert watched.supervised.problem.severity == "warning"
        assert f"nothing listens on {HOST}:{port}" in watched.supervised.problem.what


async def test_stopping_asks_first_and_insists_after_the_grace(tmp_path):
    script = "trap '' TERM; echo deaf; while true; do sleep 0.05; done"
    watched = Watched(program("sh", "-c", script), tmp_path)
    task = asyncio.create_task(watched.supervised.run())
    await watched.until("ready")
    async with asyncio.timeout(30):
        while "deaf" not in (tmp_path / "app.log").read_text():
            await asyncio.sleep(0.01)
        await watched.supervised.stop(0.05)
        await task
    assert watched.supervised.pid is None


async def test_stopping_gives_a_program_time_to_say_goodbye(tmp_path):
    script = "trap 'echo goodbye; exit 0' TERM; echo hello; while true; do sleep 0.05; done"
    watched = Watched(program("sh", "-c", script), tmp_path)
    task = asyncio.create_task(watched.supervised.run())
    await watched.until("ready")
    async with asyncio.timeout(30):
        while "hello" not in (tmp_path / "app.log").read_text():
            await asyncio.sleep(0.01)
        await watched.supervised.stop(20)
        await task
    assert "goodbye" in (tmp_path / "app.log").read_text()


async def test_what_a_program_has_started_ends_with_it(tmp_path):
    async with running(program("sh", "-c", "sleep 600 & echo $!; wait"), tmp_path) as watched:
        await watched.until("ready")
        async with asyncio.timeout(30):
            while not (tmp_path / "app.log").read_text().strip():
                await asyncio.sleep(0.01)
        child = int((tmp_path / "app.log").read_text())
    async with asyncio.timeout(30):
        while is_alive(child):
            await asyncio.sleep(0.01)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_program_finds_its_own_environment_and_none_of_the_agents(tmp_path, monkeypatch):
    monkeypatch.setenv("AGENTS_SECRET", "x")
    async with running(program("sh", "-c", "env; pwd; sleep 60", own=(("MINE", "1"),)), tmp_path) as watched:
        await watched.until("ready")
        async with asyncio.timeout(30):
            while f"{tmp_path}/work" not in (said := (tmp_path / "app.log").read_text()).splitlines():
                await asyncio.sleep(0.01)
    assert "MINE=1" in said
    assert f"OSM_BIND_HOST={HOST}" in said
    assert "AGENTS_SECRET" not in said


def test_pauses_double_up_to_a_limit():
    backoff = Backoff(first_s=1, most_s=5)
    assert [backoff.pause_s(crashes) for crashes in (1, 2, 3, 4, 99)] == [1, 2, 4, 5, 5]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("0: 0200097F:1F90 00000000:0000 0A 0:0 00:0 0 0 0 4711", (8080, False)),
        ("0: 00000000:1F90 00000000:0000 0A 0:0 00:0 0 0 0 4711", (8080, True)),
        ("0: 00000000000000000000000000000000:0050 0:0 0A 0:0 00:0 0 0 0 4711", (80, True)),
        ("0: 0200097F:1F90 0100007F:9999 01 0:0 00:0 0 0 0 4711", None),
    ],
)
def test_the_kernels_table_of_sockets_is_read(line, found):
    seen = [(each.port, each.wildcard) for each in listeners.parse(f"header\n  {line}\n")]
    assert seen == ([found] if found else [])


OFFERED = (("OSM_BIND_HOST", HOST), ("OSM_UPSTREAM_BOOK_SHOP_STORE_V1_8080", "127.201.0.3:20001"))


@pytest.mark.parametrize(
    "words",
    [
        "Error: getaddrinfo ENOTFOUND store-v1.book-shop",
        "dial tcp: lookup store-v1.book-shop on 127.0.0.53:53: no such host",
        "java.net.UnknownHostException: store-v1.book-shop.svc.cluster.local",
        "curl: (6) Could not resolve host: store-v1.book-shop",
        "HTTPConnection(host='store-v1.book-shop', port=8080): Failed to resolve 'store-v1.book-shop'",
    ],
)
def test_a_client_that_resolves_services_itself_is_told_what_to_call(words):
    what = msgspec.structs.replace(program("client"), platform=OFFERED)
    found = program_problems.ignores_proxy(f"all is well\n{words}\n", what)
    assert found.severity == "warning"
    assert "does not use HTTP_PROXY" in found.what
    assert "http://$(OSM_UPSTREAM_BOOK_SHOP_STORE_V1_8080)" in found.what


@pytest.mark.parametrize(
    "words",
    [
        "GET http://store-v1.book-shop:8080 answered 503",
        "getaddrinfo ENOTFOUND api.example.com",
        "no such host\nstore-v1.book-shop is fine",
        "could not resolve host: store-v1.book",
    ],
)
def test_nobody_is_accused_who_does_not_say_so(words):
    assert program_problems.ignores_proxy(words, msgspec.structs.replace(program("client"), platform=OFFERED)) is None


async def test_a_running_program_that_ignores_the_proxy_is_warned_of_and_stays_ready(tmp_path, monkeypatch):
    monkeypatch.setattr(program_problems, "LISTEN_EVERY_S", 0.01)
    what = program("sh", "-c", "echo no such host: store-v1.book-shop; sleep 600")
    async with running(msgspec.structs.replace(what, platform=OFFERED), tmp_path) as watched:
        async with asyncio.timeout(30):
            while not watched.supervised.troubles:
                await asyncio.sleep(0.01)
        assert watched.supervised.ready
        assert watched.supervised.troubles[0].severity == "warning"
