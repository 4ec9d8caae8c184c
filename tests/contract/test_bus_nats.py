"""What NATS servers and networks do to a bus, done to ours: killed, emptied, full, paused, cut off."""

import asyncio
import itertools
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest

from osm.bus import Bus, BusError, LeadershipLost, NoAnswer
from osm.bus.nats import open_nats
from osm.bus.nats_wire import inbox, stream
from osm.contracts.channels import MESH_CONFIG, SERVICE_STATUS, SIGN, TCP_ROUTE
from osm.contracts.names import Identity
from osm.contracts.policy import Mesh, TcpRoute
from osm.contracts.status import ServiceStatus
from osm.contracts.trust import MeshLeaf, Refused, SignReply, SignRequest
from osm.testing.nats_server import NoServer, find
from osm.testing.picture import PATIENCE_S, Picture

pytestmark = pytest.mark.nats

MESH = MESH_CONFIG.key()
REQUEST = SignRequest(csr_pem="csr", subject=MeshLeaf(identity=Identity("default", "bookbuyer")))


def key(name: str) -> str:
    return TCP_ROUTE.key("default", name)


def route(name: str, *ports: int) -> dict[str, TcpRoute]:
    return {key(name): TcpRoute(namespace="default", name=name, ports=ports)}


def routes(count: int) -> dict[str, TcpRoute]:
    return {name: value for number in range(count) for name, value in route(f"r{number}").items()}


async def messages(over_nats) -> int:
    info = await over_nats.admin.jetstream().stream_info(stream("meshspec"))
    return info.state.messages


async def test_a_consumer_lost_in_silence_is_found_by_comparing_revisions(over_nats, monkeypatch) -> None:
    monkeypatch.setattr("osm.bus.nats_follow.SILENCE_S", 1e9)
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(route("a"))
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        jetstream = over_nats.admin.jetstream()
        for consumer in await jetstream.consumers_info(stream("meshspec")):
            await jetstream.delete_consumer(stream("meshspec"), consumer.name)
        await writer.apply(route("b"))
        await picture.until(lambda now: now.last.full and key("b") in now.keys)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_after_a_server_restart_readers_get_whole_pictures_and_writers_write_on(over_nats, how: str) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(route("a"))
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        await getattr(over_nats.server, how)()
        waiting = asyncio.ensure_future(writer.apply(route("b")))
        async with asyncio.timeout(PATIENCE_S):
            while await bus.ready():
                await asyncio.sleep(0.05)
        assert not waiting.done()
        await over_nats.server.start()
        await waiting
        await picture.until(lambda now: now.last.full and key("b") in now.keys)
        assert picture.keys == {key("a"), key("b")}
        await writer.apply(route("c"))
        await picture.until(lambda now: key("c") in now.keys)


async def test_a_server_that_lost_its_disk_is_filled_again_and_nothing_is_taken_for_deleted(over_nats) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(routes(50))
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        await over_nats.server.kill()
        over_nats.server.wipe()
        await over_nats.server.start()
        while not (update := await picture.next()).full:
            assert not any(document.deleted for document in update.documents)
        assert picture.keys == set(routes(50))


@pytest.mark.parametrize("how", ["delete", "purge", "purge some"])
async def test_an_emptied_bucket_is_filled_again_at_once_by_an_idle_writer(over_nats, how: str) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(routes(20))
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        jetstream = over_nats.admin.jetstream()
        if how == "delete":
            await jetstream.delete_stream(stream("meshspec"))
        elif how == "purge":
            await jetstream.purge_stream(stream("meshspec"))
        else:
            await jetstream.purge_stream(stream("meshspec"), subject=f"$KV.meshspec.{key('r1')}")
        while not (await picture.next()).full and how != "purge some":
            assert picture.keys == set(routes(20))
        assert picture.keys == set(routes(20))
        fresh = Picture(reader.watch("meshspec"))
        await fresh.next()
        assert fresh.keys == set(routes(20))


async def test_what_is_removed_while_a_bucket_is_refilled_is_gone_from_its_readers(over_nats) -> None:
    """The reader never saw a deletion: only the new incarnation tells it that its picture is void."""
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader:
        async with bus.writer("meshspec") as writer:
            await writer.publish(route("a") | route("b"))
            picture = Picture(reader.watch("meshspec"))
            await picture.next()
        await over_nats.admin.jetstream().purge_stream(stream("meshspec"))
        async with bus.writer("meshspec") as writer:
            await writer.publish(route("a"))
            while not (await picture.next()).full:
                assert key("a") in picture.keys  # written before its mark, which voids the picture, has come
            assert picture.keys == {key("a")}


async def test_a_consumer_deleted_under_a_watch_costs_nothing_but_a_second_reading(over_nats) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(route("a"))
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        jetstream = over_nats.admin.jetstream()
        for consumer in await jetstream.consumers_info(stream("meshspec")):
            await jetstream.delete_consumer(stream("meshspec"), consumer.name)
        await writer.apply(route("b"))
        await picture.until(lambda now: key("b") in now.keys)
        assert picture.last.full


async def test_a_full_store_is_an_error_that_names_the_key_and_passes(over_nats) -> None:
    server = over_nats.server
    await server.stop()
    server.configure(max_file_bytes=1_000_000)
    await server.start()
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish({})
        await writer.apply({MESH: Mesh(sidecar_log_level="x" * 1_500_000)})
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        with pytest.raises(BusError, match=r"bucket meshspec: the server refuses .*resource"):
            await writer.apply(route("a"))
        assert picture.keys == {MESH}
        await server.stop()
        server.configure(max_file_bytes=10_000_000)
        await server.start()
        await writer.apply(route("b"))
        await picture.until(lambda now: now.keys == {key("a"), key("b"), MESH})


async def test_pipelined_writes_of_a_deposed_leader_all_fail_however_few_the_new_one_made(over_nats) -> None:
    """With expected sequences alone, the k-th write of the old leader would follow the new one's k-th."""
    async with over_nats.bus("meshspec") as old, over_nats.bus("meshspec") as new, over_nats.bus("cli") as reader:
        with pytest.raises(LeadershipLost):  # noqa: PT012  # idle or not
            async with old.writer("meshspec") as stale:
                await stale.publish({})
                await over_nats.depose("meshspec")
                async with new.writer("meshspec") as writer:
                    await writer.publish(route("new"))
                    await stale.apply(routes(100))
        async with new.writer("meshspec") as writer:
            assert set(writer.held()) <= {key("new")}  # none, if the old one has noticed before the new one wrote
            await writer.publish(route("new"))
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        assert picture.keys == {key("new")}


LEADER = """
import asyncio, sys
from osm.bus.nats import open_nats
from osm.bus.nats_settings import NatsSettings
from osm.bus import LeadershipLost
from osm.contracts.policy import Mesh

async def main():
    url, writers, key = sys.argv[1:]
    settings = NatsSettings(lease_s=3.0, writers_file=writers, signing_key_file=key)
    async with open_nats(url, "meshspec", settings) as bus:
        async with bus.writer("meshspec") as writer:
            await writer.publish({"mesh": Mesh()})
            print("leading", flush=True)
            await asyncio.Event().wait()

try:
    asyncio.run(main())
except LeadershipLost as error:
    print("lost:", error, flush=True)
"""


@asynccontextmanager
async def leader(over_nats) -> AsyncIterator[asyncio.subprocess.Process]:
    settings = over_nats.settings("meshspec")
    arguments = (over_nats.server.url, settings.writers_file, settings.signing_key_file)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LEADER, *arguments, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()  # its end, and that of its pipe


async def says(process: asyncio.subprocess.Process, word: str) -> str:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            line = (await process.stdout.readline()).decode()
            assert line, f"the process ended before it said {word}"
            if line.startswith(word):
                return line


async def test_a_paused_leader_is_replaced_and_knows_it_when_it_wakes(over_nats) -> None:
    async with leader(over_nats) as process, over_nats.bus("meshspec") as bus:
        await says(process, "leading")
        process.send_signal(signal.SIGSTOP)
        async with bus.writer("meshspec") as writer:
            await writer.publish({MESH: Mesh(max_proxies=7)})
            process.send_signal(signal.SIGCONT)
            assert "meshspec is no longer its writer" in await says(process, "lost")
            await writer.apply({MESH: Mesh(max_proxies=8)})


async def test_a_killed_leader_is_replaced_after_its_lease(over_nats) -> None:
    async with leader(over_nats) as process, over_nats.bus("meshspec") as bus:
        await says(process, "leading")
        process.kill()
        async with bus.writer("meshspec") as writer:
            assert set(writer.held()) == {MESH}


async def test_a_living_leader_is_not_replaced(over_nats) -> None:
    async with leader(over_nats) as process, over_nats.bus("meshspec") as bus:
        await says(process, "leading")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2 * over_nats.lease_s):
                await bus.writer("meshspec").__aenter__()


async def test_a_leader_that_ends_in_the_middle_of_a_write_hands_over_at_once(over_nats) -> None:
    settings = over_nats.settings("meshspec", lease_s=600.0)
    writing = asyncio.Event()

    async def write(bus: Bus) -> None:
        async with bus.writer("meshspec") as writer:
            await writer.publish(route("a"))
            writing.set()
            for number in itertools.cycle(range(1, 1000)):
                await writer.apply(route("a", number))

    async with (
        open_nats(over_nats.server.url, "meshspec", settings) as bus,
        open_nats(over_nats.server.url, "meshspec", settings) as standby,
    ):
        task = asyncio.ensure_future(write(bus))
        await writing.wait()
        task.cancel()
        await asyncio.wait([task])
        async with asyncio.timeout(PATIENCE_S), standby.writer("meshspec") as writer:
            assert set(writer.held()) == {key("a")}


async def test_a_successor_in_the_same_seat_takes_over_at_once_and_its_predecessor_is_deposed(over_nats) -> None:
    """A pod that is restarted has its name: what leads under it is dead, or paused and must not write again."""

    def seated():
        settings = over_nats.settings("meshspec", seat="meshspec-0", lease_s=600.0)
        return open_nats(over_nats.server.url, "meshspec", settings)

    async with seated() as before, seated() as after, before.writer("meshspec") as old:
        await old.publish(route("a"))
        async with asyncio.timeout(PATIENCE_S), after.writer("meshspec") as new:
            await new.publish(route("b"))
            with pytest.raises(LeadershipLost):
                await old.apply(route("c"))


async def test_a_long_filling_keeps_its_lease_and_is_read_whole(over_nats) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        picture = Picture(reader.watch("meshspec"))
        revision = await writer.publish(routes(5_000))
        first = await picture.next()
        assert first.full
        assert first.revision >= revision
        assert len(picture.keys) == 5_000


async def test_a_reader_that_blocks_its_process_misses_nothing(over_nats) -> None:
    """Large values faster than they are read: flow control holds the server back, nothing is dropped."""
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish({})
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        for number in range(300):
            await writer.apply({MESH: Mesh(sidecar_log_level="x" * 200_000, max_proxies=number)} | route(f"r{number}"))
        await picture.until(lambda now: len(now.keys) == 301)
        assert picture.documents[MESH].value.max_proxies == 299


async def test_deletions_are_swept_once_every_reader_has_seen_them(over_nats, monkeypatch) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(routes(10))
        full = await messages(over_nats)
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        revision = await writer.publish(route("r1"))
        assert await messages(over_nats) == full
        await picture.until(lambda now: now.keys == {key("r1")})
        monkeypatch.setattr("osm.bus.nats_writer.TOMBSTONE_S", 0.1)
        async with asyncio.timeout(PATIENCE_S):
            while await messages(over_nats) != full - 9:
                await asyncio.sleep(0.1)
        assert await writer.apply(route("r1")) == revision


async def test_status_is_said_again_after_the_bucket_was_lost(over_nats) -> None:
    line = SERVICE_STATUS.key("meshspec", "a")
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader:
        value = ServiceStatus(service="meshspec", replica="a", version="1", started_at_s=1.0)
        await bus.status().put(line, value)
        await Picture(reader.watch("status")).until(lambda now: line in now.keys)
        await over_nats.admin.jetstream().delete_stream(stream("status"))
        await Picture(reader.watch("status")).until(lambda now: line in now.keys)


async def test_a_question_while_the_server_is_away_has_no_answer_and_afterwards_one(over_nats) -> None:
    async def sign(caller: str, request: SignRequest) -> SignReply:
        return SignReply(outcome=Refused(why="here"))

    async with over_nats.bus("certmgr") as server, over_nats.bus("xds") as client, server.serve(SIGN, sign):
        await over_nats.server.stop()
        with pytest.raises(NoAnswer):
            await client.ask(SIGN, REQUEST, timeout_s=0.2)
        await over_nats.server.start()
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    reply = await client.ask(SIGN, REQUEST)
                    break
                except NoAnswer:
                    await asyncio.sleep(0.05)
        assert reply == SignReply(outcome=Refused(why="here"))


async def test_a_request_that_cannot_be_decoded_never_reaches_the_answer(over_nats) -> None:
    async def sign(caller: str, request: SignRequest) -> SignReply:
        raise AssertionError

    async with over_nats.bus("certmgr") as server, server.serve(SIGN, sign):
        assert "certmgr sign: not a SignRequest" in await refusal(over_nats, "xds", SIGN.subject("xds"))
        assert "thief may not ask" in await refusal(over_nats, "thief", SIGN.subject("thief"))


async def refusal(over_nats, user: str, subject: str) -> str:
    client = await nats.connect(over_nats.server.url, inbox_prefix=inbox(user))
    try:
        reply = await client.request(subject, b"{}", timeout=30)
        return reply.headers["Osm-Error"]
    finally:
        await client.close()


async def test_a_server_that_is_not_there_yet_is_waited_for(over_nats) -> None:
    await over_nats.server.stop()
    opened = over_nats.bus("catalog")
    entering = asyncio.ensure_future(_ready(opened))
    await asyncio.sleep(0.3)
    assert not entering.done()
    await over_nats.server.start()
    async with asyncio.timeout(PATIENCE_S):
        assert await entering


async def _ready(opened) -> bool:
    async with opened as bus:
        return await bus.ready()


async def test_a_missing_server_binary_says_how_to_get_one(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("OSM_NATS_SERVER", raising=False)
    with pytest.raises(NoServer, match="make nats-server"):
        find()
    monkeypatch.setenv("OSM_NATS_SERVER", "/nonsense")
    with pytest.raises(NoServer, match="expected an executable file, found /nonsense"):
        find()
