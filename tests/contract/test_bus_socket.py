"""The CLI's way into an embedded mesh: the reading half of the bus over a Unix socket."""

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from osm.bus import BusError, NoAnswer
from osm.bus.connect import connect
from osm.bus.memory import MemoryCore
from osm.bus.socket import SocketBus
from osm.bus.socket_server import lend
from osm.contracts.channels import MESH_CONFIG, PROXY_ADMIN, SIGN, TRAFFIC_SPLIT
from osm.contracts.names import Identity
from osm.contracts.policy import Mesh
from osm.contracts.status import AdminQuery, AdminReply
from osm.contracts.trust import MeshLeaf, SignRequest

QUERY = AdminQuery(proxy_id="bookbuyer-1", query="stats")


@pytest.fixture
def core() -> MemoryCore:
    return MemoryCore()


@pytest.fixture
async def path(core: MemoryCore, tmp_path: Path) -> AsyncIterator[Path]:
    folder = tmp_path / "run"
    async with lend(core.bus("cli"), folder / "bus.sock"):
        yield folder / "bus.sock"


async def test_the_socket_belongs_to_its_user_alone(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_watch_gets_the_full_picture_then_changes(core: MemoryCore, path: Path) -> None:
    async with core.bus("meshspec").writer("meshspec") as writer, connect(f"unix:{path}", "cli") as bus:
        await writer.publish({"mesh": Mesh(permissive=False)})
        updates = bus.watch("meshspec")
        first = await anext(updates)
        assert first.full
        assert [(document.key, document.value) for document in first.documents] == [("mesh", Mesh(permissive=False))]
        revision = await writer.apply({}, ["mesh"])
        second = await anext(updates)
        assert (second.full, second.revision) == (False, revision)
        assert [(document.key, document.deleted) for document in second.documents] == [("mesh", True)]


async def test_kinds_of_keys_can_be_chosen(core: MemoryCore, path: Path) -> None:
    async with core.bus("meshspec").writer("meshspec") as writer:
        await writer.publish({"mesh": Mesh()})
        first = await anext(SocketBus(path).watch("meshspec", states=(TRAFFIC_SPLIT,)))
        assert first.documents == ()
        first = await anext(SocketBus(path).watch("meshspec", states=(MESH_CONFIG,)))
        assert len(first.documents) == 1


async def test_a_question_reaches_the_mesh_and_comes_back(core: MemoryCore, path: Path) -> None:
    async def answer(caller: str, query: AdminQuery) -> AdminReply:
        return AdminReply(body=f"{caller} {query.proxy_id}")

    async with core.bus("local").serve(PROXY_ADMIN, answer):
        assert await SocketBus(path).ask(PROXY_ADMIN, QUERY) == AdminReply(body="cli bookbuyer-1")
    with pytest.raises(NoAnswer, match="nobody serves it"):
        await SocketBus(path).ask(PROXY_ADMIN, QUERY)


async def test_the_cli_cannot_ask_what_only_services_may(path: Path) -> None:
    request = SignRequest(csr_pem="", subject=MeshLeaf(identity=Identity("default", "thief")))
    with pytest.raises(BusError, match="cli may not ask, allowed are xds, injector, local"):
        await SocketBus(path).ask(SIGN, request)


async def test_an_unknown_bucket_is_named(path: Path) -> None:
    with pytest.raises(BusError, match="bucket nonsense"):
        await anext(SocketBus(path).watch("nonsense"))


async def test_a_request_from_the_future_is_answered_with_an_error(path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"type":"explain","of":"everything"}\n')
    assert b"may be older than this CLI" in await reader.readline()
    writer.close()


async def test_an_endless_request_is_cut_off(path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"x" * 200_000)
    assert b"longer than allowed" in await reader.readline()
    writer.close()


async def test_the_end_of_the_mesh_ends_a_watch(core: MemoryCore, tmp_path: Path) -> None:
    path = tmp_path / "run" / "bus.sock"
    async with lend(core.bus("cli"), path):
        updates = SocketBus(path).watch("status")
        await anext(updates)
    with pytest.raises(BusError, match="has ended"):
        await anext(updates)
    assert not path.exists()


async def test_no_mesh_is_a_clear_error(tmp_path: Path) -> None:
    bus = SocketBus(tmp_path / "bus.sock")
    assert not await bus.ready()
    with pytest.raises(BusError, match="osm up"):
        await anext(bus.watch("status"))


async def test_a_second_mesh_is_refused_and_a_dead_one_s_socket_is_replaced(core: MemoryCore, path: Path) -> None:
    with pytest.raises(BusError, match="another mesh"):
        await lend(core.bus("cli"), path).__aenter__()
    path.unlink()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    async with lend(core.bus("cli"), path):
        assert await SocketBus(path).ready()


async def test_a_folder_open_to_others_is_refused(core: MemoryCore, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with pytest.raises(BusError, match="allowed is 0700"):
        await lend(core.bus("cli"), tmp_path / "bus.sock").__aenter__()


async def test_nothing_can_be_written_over_it(path: Path) -> None:
    bus = SocketBus(path)
    for attempt in (lambda: bus.writer("meshspec"), bus.status):
        with pytest.raises(BusError, match="lends the bus for reading"):
            attempt()


@pytest.mark.parametrize("url", ["memory:", "http://x", "unix:relative", "nats:x"])
async def test_other_addresses_are_refused_with_the_allowed_forms(url: str) -> None:
    with pytest.raises(BusError, match="unix:/path, nats://host:port"):
        await connect(url, "cli").__aenter__()
