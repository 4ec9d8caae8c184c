"""Whoever holds a service's password, or even the server's, cannot make readers believe what its owner did not write.

First with the rights of one service, by what the server delivers on its behalf; then with all rights but no key.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import nats
import pytest
from nats.aio.client import Client
from structlog.testing import capture_logs

from osm.bus import Bus, nats_wire
from osm.bus.nats import open_nats
from osm.bus.nats_settings import NatsSettings
from osm.bus.nats_wire import stream, subject
from osm.bus.socket import SocketBus
from osm.bus.socket_server import lend
from osm.contracts.channels import MESH_CONFIG, SIGN, TCP_ROUTE
from osm.contracts.codec import encode
from osm.contracts.names import Identity
from osm.contracts.policy import Mesh, TcpRoute
from osm.contracts.trust import MeshLeaf, Refused, SignReply, SignRequest
from osm.testing.nats_server import NatsServer
from osm.testing.picture import PATIENCE_S, Picture
from osm.testing.signing import signing

pytestmark = pytest.mark.nats

MESH = MESH_CONFIG.key()
STRICT = {MESH: Mesh(permissive=False)}
REQUEST = SignRequest(csr_pem="csr", subject=MeshLeaf(identity=Identity("default", "bookbuyer")))
FORGED = encode(Mesh(permissive=True))


def key(name: str) -> str:
    return TCP_ROUTE.key("default", name)


def route(name: str, *ports: int) -> dict[str, TcpRoute]:
    return {key(name): TcpRoute(namespace="default", name=name, ports=ports)}


async def quiet(error: Exception) -> None:
    """The server says what it refuses; the tests look at what readers see."""


# --- the rights of one service -------------------------------------------------------------------------------------


@asynccontextmanager
async def thief(server: NatsServer, user: str = "local") -> AsyncIterator[Client]:
    client = await nats.connect(
        server.url, user=user, password=f"secret-{user}", inbox_prefix=nats_wire.inbox(user), error_cb=quiet
    )
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def running(server: NatsServer, tmp_path, name: str, settings: NatsSettings) -> AsyncIterator[Bus]:
    password = tmp_path / f"{name}.password"
    password.write_text(f"secret-{name}")
    password.chmod(0o600)
    settings = msgspec.structs.replace(settings, password_file=str(password), lease_s=3.0)
    async with open_nats(server.url, name, settings) as bus:
        yield bus


async def acknowledged_elsewhere(client: Client) -> None:
    """The server's acknowledgement is a JSON object, so it is a Mesh with all defaults: a permissive one."""
    await client.publish(subject("local", "x"), b"{}", reply=subject("catalog", MESH))
    await client.flush()


async def answered_elsewhere(client: Client) -> None:
    await client.publish(f"$JS.API.STREAM.INFO.{stream('local')}", b"", reply=subject("catalog", MESH))
    await client.flush()


async def republished(client: Client) -> None:
    """Any body and any headers, by whoever makes its own bucket before its service does."""
    config = {
        "name": stream("local"),
        "subjects": [subject("local", ">")],
        "republish": {"src": subject("local", ">"), "dest": subject("catalog", ">")},
    }
    await client.request(f"$JS.API.STREAM.CREATE.{stream('local')}", msgspec.json.encode(config), timeout=30)
    await client.request(subject("local", MESH), FORGED, timeout=30, headers={nats_wire.WRITER: "catalog"})


WAYS = pytest.mark.parametrize("forge", [acknowledged_elsewhere, answered_elsewhere, republished])


@WAYS
async def test_without_keys_a_stolen_password_of_one_service_changes_anothers_documents(
    server, tmp_path, forge
) -> None:
    """So that the next test is known to try something that works."""
    unsigned = NatsSettings(unsigned=True)
    async with (
        running(server, tmp_path, "catalog", unsigned) as catalog,
        running(server, tmp_path, "xds", unsigned) as xds,
        thief(server) as client,
        catalog.writer("catalog") as writer,
    ):
        await writer.publish(STRICT)
        picture = Picture(xds.watch("catalog"))
        await picture.next()
        if forge is not republished:
            await client.request(f"$JS.API.STREAM.CREATE.{stream('local')}", LOCAL, timeout=30)
        await forge(client)
        await picture.until(lambda now: now.documents[MESH].value == Mesh(permissive=True))


LOCAL = msgspec.json.encode({"name": stream("local"), "subjects": [subject("local", ">")]})


@WAYS
async def test_what_the_server_delivers_for_another_service_is_not_believed_and_is_healed(
    server, tmp_path, keys, forge
) -> None:
    async with (
        running(server, tmp_path, "catalog", signing(keys, "catalog")) as catalog,
        running(server, tmp_path, "xds", signing(keys, "xds")) as xds,
        thief(server) as client,
        catalog.writer("catalog") as writer,
    ):
        await writer.publish(STRICT)
        picture = Picture(xds.watch("catalog"))
        await picture.next()
        if forge is not republished:
            await client.request(f"$JS.API.STREAM.CREATE.{stream('local')}", LOCAL, timeout=30)
        await forge(client)
        await seen_and_healed(picture, STRICT)


async def test_a_question_whose_answer_would_go_elsewhere_is_not_answered(server, tmp_path, keys) -> None:
    """An answer is published with the rights of the service that gives it."""
    asked: list[str] = []

    async def sign(caller: str, request: SignRequest) -> SignReply:
        asked.append(caller)
        return SignReply(outcome=Refused(why="here"))

    async with (
        running(server, tmp_path, "certmgr", signing(keys, "certmgr")) as certmgr,
        running(server, tmp_path, "local", signing(keys, "local")) as local,
        thief(server) as client,
        certmgr.serve(SIGN, sign),
    ):
        await client.publish(SIGN.subject("local"), encode(REQUEST), reply=subject("certmgr", "bundle.x"))
        await client.flush()
        await local.ask(SIGN, REQUEST, timeout_s=PATIENCE_S)
    assert asked == ["local"]


async def seen_and_healed(picture: Picture, truth: dict) -> None:
    """The forgery is told as what cannot be used, if at all before the owner has put its own again. Nothing else is
    seen: the last good value stays."""
    first = picture.last

    def healed(now: Picture) -> bool:
        assert {name: document.value for name, document in now.documents.items()} == truth
        return now.last is not first and bool(now.last.documents) and now.last.documents[-1].value is not None

    await picture.until(healed)


# --- all rights, and no key -----------------------------------------------------------------------------------------


async def lying(over_nats, name: str) -> tuple[bytes, dict[str, str], int]:
    """A document as it lies in the bucket: body, headers without those of the fence, sequence."""
    found = await over_nats.admin.jetstream().get_last_msg(stream("meshspec"), subject("meshspec", name))
    kept = {header: (found.headers or {}).get(header, "") for header in (nats_wire.WRITER, nats_wire.PROOF)}
    return found.data or b"", kept, found.seq


async def forge(over_nats, name: str, body: bytes, headers: dict[str, str] | None = None) -> None:
    reply = await over_nats.admin.request(subject("meshspec", name), body, headers=headers, timeout=30)
    assert nats_wire.read_ack(reply.data).error is None


@pytest.mark.parametrize("how", ["bare", "another body", "another key", "an older one"])
async def test_a_forged_document_is_never_believed_and_is_healed(over_nats, how: str) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish({MESH: Mesh(permissive=True)} | route("a"))
        older, proven, _ = await lying(over_nats, MESH)
        await writer.publish(STRICT | route("a"))
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        if how == "bare":
            await forge(over_nats, MESH, FORGED)
        elif how == "another body":
            _, headers, _ = await lying(over_nats, MESH)
            await forge(over_nats, MESH, FORGED, headers)
        elif how == "another key":
            body, headers, _ = await lying(over_nats, key("a"))
            await forge(over_nats, MESH, body, headers)
        else:
            await forge(over_nats, MESH, older, proven)
        await seen_and_healed(picture, STRICT | route("a"))


@pytest.mark.parametrize("operation", ["DEL", "PURGE"])
async def test_a_forged_deletion_is_never_believed_and_is_healed(over_nats, operation: str) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(STRICT)
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        _, headers, _ = await lying(over_nats, MESH)
        await forge(over_nats, MESH, b"", headers | {nats_wire.OPERATION: operation})
        await seen_and_healed(picture, STRICT)


async def test_a_message_that_would_replace_all_others_is_refused(over_nats) -> None:
    async with over_nats.bus("meshspec") as bus, bus.writer("meshspec") as writer:
        await writer.publish(STRICT | route("a"))
        for rollup in ("sub", "all"):
            headers = {"Nats-Rollup": rollup}
            reply = await over_nats.admin.request(subject("meshspec", MESH), b"", headers=headers, timeout=30)
            assert "rollup not permitted" in nats_wire.read_ack(reply.data).error.description


async def test_a_key_that_is_not_its_owners_is_removed(over_nats) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(STRICT)
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        await forge(over_nats, key("extra"), encode(route("extra")[key("extra")]))
        await picture.until(lambda now: any(document.deleted for document in now.last.documents))
        assert picture.keys == {MESH}
        fresh = Picture(reader.watch("meshspec"))
        await fresh.next()
        assert (fresh.keys, set(writer.held())) == ({MESH}, {MESH})


async def test_a_reader_that_starts_after_a_forgery_waits_until_the_owner_has_mended_it(over_nats) -> None:
    """What the key held is hidden, and a picture without it could mean anything: no policy, default settings."""
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader:
        async with bus.writer("meshspec") as writer:
            await writer.publish(STRICT | route("a"))
        await forge(over_nats, MESH, FORGED)
        picture = Picture(reader.watch("meshspec"))
        reading = asyncio.ensure_future(picture.next())
        narrow = Picture(reader.watch("meshspec", states=(TCP_ROUTE,)))
        await narrow.next()
        assert narrow.keys == {key("a")}
        assert not reading.done()
        async with bus.writer("meshspec") as writer:
            assert set(writer.held()) == {key("a")}
            await writer.publish(STRICT | route("a"))
            assert (await reading).full
        assert {name: document.value for name, document in picture.documents.items()} == STRICT | route("a")


async def test_a_forged_mark_does_not_make_half_a_picture_whole(over_nats) -> None:
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        picture = Picture(reader.watch("meshspec"))
        reading = asyncio.ensure_future(picture.next())
        mark = nats_wire.Mark(incarnation="forged", complete=True)
        await forge(over_nats, nats_wire.SYNCED, msgspec.json.encode(mark))
        await writer.publish(STRICT)
        assert (await reading).incarnation != "forged"
        await forge(over_nats, nats_wire.SYNCED, msgspec.json.encode(mark))
        await picture.until(lambda now: now.last.full and now.last.revision > (reading.result().revision + 1))
        assert picture.last.incarnation not in ("forged", reading.result().incarnation)
        assert picture.keys == {MESH}


async def test_a_forged_lease_deposes_nobody(over_nats) -> None:
    lease = msgspec.json.encode(nats_wire.Lease(holder="thief", lease_s=1000.0))
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader:
        async with bus.writer("meshspec") as writer:
            await writer.publish(STRICT)
            picture = Picture(reader.watch("meshspec"))
            await picture.next()
            await forge(over_nats, nats_wire.LEADER, lease)
            await writer.apply(route("a"))
            await picture.until(lambda now: now.keys == {MESH, key("a")})
        await forge(over_nats, nats_wire.LEADER, lease)
        async with bus.writer("meshspec") as writer:
            assert set(writer.held()) == {MESH, key("a")}


async def test_a_standby_does_not_take_a_forged_lease_for_the_end_of_a_leader(over_nats) -> None:
    async with (
        over_nats.bus("meshspec") as bus,
        over_nats.bus("meshspec") as standby,
        bus.writer("meshspec") as writer,
    ):
        await writer.publish(STRICT)
        entering = asyncio.ensure_future(standby.writer("meshspec").__aenter__())
        for _ in range(8):
            await asyncio.sleep(over_nats.lease_s / 5)
            await forge(over_nats, nats_wire.LEADER, b"")
        assert not entering.done()
        await writer.apply(route("a"))
        entering.cancel()


async def test_what_was_signed_for_a_bucket_since_made_anew_is_never_believed(over_nats) -> None:
    """Same bodies, same signatures, same sequences: only the stream is another."""
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader:
        async with bus.writer("meshspec") as writer:
            await writer.publish({MESH: Mesh(permissive=True)})
        jetstream = over_nats.admin.jetstream()
        config = (await jetstream.stream_info(stream("meshspec"))).config
        messages = {}
        for name in (MESH, nats_wire.SYNCED):
            body, headers, sequence = await lying(over_nats, name)
            messages[sequence] = (name, body, headers)
        await jetstream.delete_stream(stream("meshspec"))
        await jetstream.add_stream(config)
        for sequence in range(1, max(messages) + 1):
            await forge(over_nats, *messages.get(sequence, (nats_wire.LEADER, b"", None)))
            assert (await jetstream.stream_info(stream("meshspec"))).state.last_seq == sequence
        picture = Picture(reader.watch("meshspec"))
        reading = asyncio.ensure_future(picture.next())
        async with bus.writer("meshspec") as writer:
            assert not writer.held()
            await writer.publish(STRICT)
            await reading
        assert picture.documents[MESH].value == Mesh(permissive=False)


async def test_a_guessed_message_id_does_not_swallow_a_write(over_nats, monkeypatch) -> None:
    """The server answers a write whose id it has seen as if it had been stored."""
    tokens = iter(f"guess{number}" for number in range(100))
    async with over_nats.bus("meshspec") as bus, bus.writer("meshspec") as writer:
        await writer.publish(STRICT)
        monkeypatch.setattr("osm.bus.nats_fence.secrets.token_hex", lambda size: next(tokens))
        for number in range(4):
            await forge(over_nats, key("a"), b"{}", {nats_wire.MESSAGE_ID: f"guess{number}-0"})
        await writer.apply(route("a"))
        body, headers, _ = await lying(over_nats, key("a"))
        assert (body, headers[nats_wire.WRITER]) == (encode(route("a")[key("a")]), "meshspec")


async def test_forgeries_are_logged_once_and_shown_with_their_reason_over_the_socket(over_nats, tmp_path) -> None:
    folder = tmp_path / "run"
    folder.mkdir(mode=0o700)
    async with over_nats.bus("meshspec") as bus, over_nats.bus("cli") as reader, bus.writer("meshspec") as writer:
        with capture_logs() as logs:
            async with lend(reader, folder / "bus.sock"):
                await writer.publish(STRICT)
                picture = Picture(SocketBus(folder / "bus.sock").watch("meshspec"))
                await picture.next()
                for _ in range(3):
                    await forge(over_nats, MESH, FORGED)
                    await picture.until(lambda now: any(document.why for document in now.last.documents))
                    (forged, *_) = (document for document in picture.last.documents if document.why)
                    assert (forged.why, forged.body, forged.deleted) == ("it is not signed", b"", False)
        said = [line for line in logs if line["event"] == "bus message not believed"]
        assert {(line["bucket"], line["key"], line["why"]) for line in said} == {("meshspec", MESH, "it is not signed")}
        assert len(said) <= 2  # the reader's and the writer's connection, once each
