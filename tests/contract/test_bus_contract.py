"""What services may rely on, whatever carries the bus."""

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from osm.bus import BusError, LeadershipLost, NoAnswer, TooLarge
from osm.contracts.channels import (
    MESH_CONFIG,
    SERVICE_STATUS,
    SIGN,
    TCP_ROUTE,
    TRAFFIC_SPLIT,
)
from osm.contracts.codec import encode
from osm.contracts.names import Identity
from osm.contracts.policy import Mesh, TcpRoute
from osm.contracts.status import ServiceStatus
from osm.contracts.trust import MeshLeaf, Refused, SignReply, SignRequest
from osm.testing.picture import PATIENCE_S, Picture

MESH = MESH_CONFIG.key()
REQUEST = SignRequest(csr_pem="csr", subject=MeshLeaf(identity=Identity("default", "bookbuyer")))


def route(name: str, *ports: int) -> dict[str, TcpRoute]:
    return {TCP_ROUTE.key("default", name): TcpRoute(namespace="default", name=name, ports=ports)}


def line(state: str = "active") -> ServiceStatus:
    return ServiceStatus(service="meshspec", replica="a", version="1", started_at_s=1.0, state=state)  # type: ignore[arg-type]  # any word


STATUS_MAX_AGE_S = 0.6
"""As the carriers of these tests set it."""

LINE = SERVICE_STATUS.key("meshspec", "a")


def key(name: str) -> str:
    return TCP_ROUTE.key("default", name)


async def test_a_reader_gets_the_full_picture_first_and_then_changes(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader, bus.writer("meshspec") as writer:
        revision = await writer.publish({MESH: Mesh(), **route("a")})
        picture = Picture(reader.watch("meshspec"))
        first = await picture.next()
        assert (first.full, first.bucket, picture.keys) == (True, "meshspec", {MESH, key("a")})
        assert first.revision >= revision
        revision = await writer.apply(route("b", 80))
        second = await picture.next()
        assert (second.full, second.revision) == (False, revision)
        (document,) = second.documents
        assert (document.key, document.value) == (key("b"), route("b", 80)[key("b")])
        assert (document.writer, document.revision) == ("meshspec", revision)


async def test_a_reader_that_was_first_waits_for_the_first_whole_picture(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader:
        picture = Picture(reader.watch("meshspec"))
        reading = asyncio.ensure_future(picture.next())
        async with bus.writer("meshspec") as writer:
            await carrier.put("meshspec", key("half"), encode(route("half")[key("half")]))
            await writer.publish(route("a") | route("b"))
            first = await reading
            assert first.full
            assert picture.keys == {key("a"), key("b")}


async def test_an_empty_picture_is_a_picture(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish({})
        first = await Picture(reader.watch("meshspec")).next()
        assert (first.full, first.documents) == (True, ())


async def test_equal_values_are_not_written_again(carrier) -> None:
    async with carrier.bus("meshspec") as bus, bus.writer("meshspec") as writer:
        revision = await writer.publish(route("a") | route("b"))
        assert await writer.publish(route("a") | route("b")) == revision
        assert await writer.apply(route("a")) == revision
        assert await writer.apply({}, [key("absent")]) == revision
        assert await writer.apply(route("a", 80)) > revision


async def test_what_a_publish_leaves_out_is_deleted_unless_it_is_kept(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(route("a") | route("b") | route("c"))
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        await writer.publish(route("a"), keep=[key("b")])
        update = await picture.next()
        assert [(document.key, document.deleted) for document in update.documents] == [(key("c"), True)]
        assert set(writer.held()) == {key("a"), key("b")}


async def test_a_busy_reader_gets_one_update_with_the_newest_values(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish({})
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        for port in range(1, 200):
            revision = await writer.apply(route("a", port))
        await writer.apply(route("gone"))
        revision = await writer.apply({}, [key("gone")])
        updates = []
        await picture.until(lambda now: not updates.append(now.last) and now.last.revision == revision)
        assert picture.documents[key("a")].value == route("a", 199)[key("a")]
        assert picture.keys == {key("a")}
        assert len(updates) < 20


async def test_a_new_writer_finds_what_the_last_one_left(carrier) -> None:
    async with carrier.bus("meshspec") as bus:
        async with bus.writer("meshspec") as writer:
            await writer.publish(route("a") | route("b"))
        async with bus.writer("meshspec") as writer:
            assert dict(writer.held()) == {name: encode(value) for name, value in (route("a") | route("b")).items()}


async def test_changes_need_a_whole_picture_first(carrier) -> None:
    async with carrier.bus("meshspec") as bus, bus.writer("meshspec") as writer:
        with pytest.raises(BusError, match="before the first publish"):
            await writer.apply(route("a"))


async def test_a_standby_waits_and_takes_over_when_the_leader_ends(carrier) -> None:
    async with carrier.bus("meshspec") as leader, carrier.bus("meshspec") as standby:
        order: list[str] = []

        async def stand_by() -> None:
            async with standby.writer("meshspec") as writer:
                order.append("took over")
                assert set(writer.held()) == {key("a")}
                await writer.publish(route("b"))

        async with asyncio.TaskGroup() as tasks:
            async with leader.writer("meshspec") as writer:
                waiting = tasks.create_task(stand_by())
                await writer.publish(route("a"))
                await asyncio.sleep(0.1)
                order.append("ended")
            await waiting
        assert order == ["ended", "took over"]


async def test_a_deposed_writer_fails_instead_of_overwriting(carrier) -> None:
    async with carrier.bus("meshspec") as old, carrier.bus("meshspec") as new, carrier.bus("cli") as reader:
        with pytest.raises(LeadershipLost, match="meshspec is no longer its writer"):  # noqa: PT012  # idle or not
            async with old.writer("meshspec") as stale:
                await stale.publish(route("a"))
                await carrier.depose("meshspec")
                async with new.writer("meshspec") as writer:
                    await writer.publish(route("b"))
                    await stale.apply(route("untouched"))
        async with new.writer("meshspec") as writer:
            assert key("untouched") not in writer.held()
            await writer.publish(route("b"))  # the old one may have noticed, and all ended, before this was written
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        assert picture.keys == {key("b")}


async def test_a_writer_is_of_no_use_after_its_context(carrier) -> None:
    async with carrier.bus("meshspec") as bus:
        async with bus.writer("meshspec") as writer:
            await writer.publish({})
        with pytest.raises(LeadershipLost):
            await writer.apply(route("a"))


async def test_a_lost_bucket_is_not_taken_for_deletions(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(route("a") | route("b"))
        picture = Picture(reader.watch("meshspec"))
        await picture.next()
        await carrier.lose("meshspec")
        await writer.publish(route("a") | route("c"))
        while not (update := await picture.next()).full:
            assert not any(document.deleted for document in update.documents)
        assert picture.keys == {key("a"), key("c")}


@pytest.mark.parametrize("carrier", ["memory", "nats"], indirect=True)  # servers before 2.10 begin at 1 again
async def test_the_revisions_of_a_lost_bucket_go_on(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish(route("a"))
        for port in range(1, 20):
            reached = await writer.apply(route("a", port))
        await carrier.lose("meshspec")
        revision = await writer.publish(route("b"))
        assert revision > reached
        picture = Picture(reader.watch("meshspec"))
        update = await picture.next()
        assert (update.revision >= revision, picture.keys) == (True, {key("b")})


async def test_the_kinds_of_keys_can_be_chosen_and_the_revision_still_moves(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader, bus.writer("meshspec") as writer:
        await writer.publish({MESH: Mesh()} | route("a"))
        picture = Picture(reader.watch("meshspec", states=(TCP_ROUTE, TRAFFIC_SPLIT)))
        await picture.next()
        assert picture.keys == {key("a")}
        revision = await writer.apply({MESH: Mesh(egress=False)})
        update = await picture.next()
        assert (update.documents, update.revision) == ((), revision)


async def test_a_kind_is_chosen_in_its_own_bucket_only(carrier) -> None:
    """`mesh` is a key of two buckets: that of meshspec is not asked for, of catalog everything is."""
    async with (
        carrier.bus("meshspec") as meshspec,
        carrier.bus("catalog") as catalog,
        carrier.bus("cli") as cli,
        meshspec.writer("meshspec", ["mesh", "tcp-route"]) as one,
        catalog.writer("catalog") as two,
    ):
        await one.publish({MESH: Mesh()} | route("a"))
        await two.publish({MESH: Mesh()})
        updates = cli.watch("meshspec", "catalog", states=(TCP_ROUTE,))
        told = [await anext(updates), await anext(updates)]
        assert [[document.key for document in update.documents] for update in told] == [[key("a")], [MESH]]


async def test_writers_of_different_kinds_work_side_by_side(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader:
        picture = Picture(reader.watch("meshspec", states=(TCP_ROUTE, MESH_CONFIG)))
        async with bus.writer("meshspec", ["tcp-route"]) as routes, bus.writer("meshspec", ["mesh"]) as mesh:
            await routes.publish(route("a"))
            await mesh.publish({MESH: Mesh()})
            await picture.next()
            assert picture.keys == {key("a"), MESH}
            for port in range(1, 10):
                await asyncio.gather(routes.apply(route("a", port)), mesh.apply({MESH: Mesh(max_proxies=port)}))
            await picture.until(lambda now: now.documents[key("a")].value == route("a", 9)[key("a")])
            await picture.until(lambda now: now.documents[MESH].value == Mesh(max_proxies=9))
            with pytest.raises(BusError, match="this writer holds tcp-route only"):
                await routes.apply({MESH: Mesh()})


async def test_a_document_over_the_limit_is_named_and_nothing_is_written(carrier) -> None:
    async with carrier.bus("meshspec") as bus, bus.writer("meshspec") as writer:
        await writer.publish({})
        big = {MESH: Mesh(sidecar_log_level="x" * 9_000_000)}
        with pytest.raises(TooLarge, match=r"meshspec mesh: the document has 90000\d\d bytes, allowed are 838\d+"):
            await writer.apply(route("a") | big)
        assert not writer.held()


async def test_a_document_of_the_wrong_type_is_refused(carrier) -> None:
    async with carrier.bus("meshspec") as bus, bus.writer("meshspec") as writer:
        with pytest.raises(BusError, match="meshspec mesh: expected a Mesh, found a ServiceStatus"):
            await writer.publish({MESH: line()})
        with pytest.raises(BusError, match="nonsense: no such kind of key"):
            await writer.publish({"nonsense": Mesh()})


@pytest.mark.parametrize(("name", "body"), [(MESH, b"not json"), (MESH, b'{"permissive":7}'), ("newer.kind", b"{}")])
async def test_what_cannot_be_decoded_says_why(carrier, name: str, body: bytes) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader:
        async with bus.writer("meshspec") as writer:
            await writer.publish({})
        await carrier.put("meshspec", name, body)
        async with bus.writer("meshspec") as writer:
            await writer.publish({}, keep=[name])
            (document,) = (await Picture(reader.watch("meshspec")).next()).documents
            assert (document.key, document.value, document.body, document.deleted) == (name, None, body, False)
            assert document.why


async def test_a_write_carries_the_trace_it_was_made_in(carrier) -> None:
    tracer = TracerProvider().get_tracer("test")
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader, bus.writer("meshspec") as writer:
        with tracer.start_as_current_span("edit") as span:
            await writer.publish(route("a"))
        (document,) = (await Picture(reader.watch("meshspec")).next()).documents
        assert trace.format_trace_id(span.get_span_context().trace_id) in document.trace


async def test_only_its_service_writes_a_bucket_and_only_its_readers_read_it(carrier) -> None:
    async with carrier.bus("injector") as bus:
        with pytest.raises(BusError, match="bucket meshspec: injector may not write it"):
            await bus.writer("meshspec").__aenter__()
        with pytest.raises(BusError, match="bucket local: injector may not read it"):
            await anext(bus.watch("local"))
        with pytest.raises(BusError, match="injector may not put"):
            await bus.status().put("proxy.p", line())


async def test_a_question_is_answered_with_its_callers_name(carrier) -> None:
    async def sign(caller: str, request: SignRequest) -> SignReply:
        return SignReply(outcome=Refused(why=f"{caller} {request.csr_pem}"))

    async with carrier.bus("certmgr") as server, carrier.bus("xds") as client:
        async with server.serve(SIGN, sign):
            reply = await client.ask(SIGN, REQUEST, timeout_s=PATIENCE_S)
            assert reply == SignReply(outcome=Refused(why="xds csr"))
        with pytest.raises(NoAnswer, match="certmgr sign: nobody serves it"):
            await client.ask(SIGN, REQUEST)


async def test_questions_are_answered_side_by_side(carrier) -> None:
    both = asyncio.Barrier(2)

    async def sign(caller: str, request: SignRequest) -> SignReply:
        await both.wait()
        return SignReply(outcome=Refused(why="met"))

    async with carrier.bus("certmgr") as server, carrier.bus("xds") as client, server.serve(SIGN, sign):
        asked = (client.ask(SIGN, REQUEST, timeout_s=PATIENCE_S) for _ in range(2))
        replies = await asyncio.gather(*asked)
        assert len(replies) == 2


async def test_a_silent_answer_is_no_answer(carrier) -> None:
    async def sleep(caller: str, request: SignRequest) -> SignReply:
        await asyncio.Event().wait()
        raise AssertionError

    async with carrier.bus("certmgr") as server, carrier.bus("xds") as client, server.serve(SIGN, sleep):
        with pytest.raises(NoAnswer, match=r"no answer within 0.1 s"):
            await client.ask(SIGN, REQUEST, timeout_s=0.1)


async def test_a_failing_answer_is_an_error_for_its_asker_alone(carrier) -> None:
    calls: list[str] = []

    async def fail_first(caller: str, request: SignRequest) -> SignReply:
        calls.append(caller)
        if len(calls) == 1:
            raise ZeroDivisionError("by\nzero")
        return SignReply(outcome=Refused(why="second"))

    async with carrier.bus("certmgr") as server, carrier.bus("xds") as client, server.serve(SIGN, fail_first):
        with pytest.raises(BusError, match="certmgr sign: the answer failed: by"):
            await client.ask(SIGN, REQUEST, timeout_s=PATIENCE_S)  # the failure is logged first, in many words
        assert await client.ask(SIGN, REQUEST, timeout_s=PATIENCE_S) == SignReply(outcome=Refused(why="second"))


async def test_who_may_not_ask_is_told_who_may(carrier) -> None:
    async with carrier.bus("catalog") as bus:
        with pytest.raises(BusError, match="catalog may not ask, allowed are xds, injector, local"):
            await bus.ask(SIGN, REQUEST)
        with pytest.raises(BusError, match="catalog may not answer, only certmgr may"):
            await bus.serve(SIGN, _never).__aenter__()


async def _never(caller: str, request: SignRequest) -> SignReply:
    raise AssertionError


async def test_status_lines_are_seen_changed_and_deleted(carrier) -> None:
    async with carrier.bus("meshspec") as bus, carrier.bus("cli") as reader:
        await bus.status().put(LINE, line("starting"))
        picture = Picture(reader.watch("status"))
        await picture.until(lambda now: LINE in now.keys)
        await bus.status().put(LINE, line("active"))
        await picture.until(lambda now: now.values.get(LINE) == line("active"))  # it may be gone until it is said again
        await bus.status().delete(LINE)
        await picture.until(lambda now: not now.keys)


async def test_a_status_line_outlives_its_age_only_while_its_writer_lives(carrier) -> None:
    async with carrier.bus("cli") as reader:
        picture = Picture(reader.watch("status"))
        async with carrier.bus("meshspec") as bus:
            await bus.status().put(LINE, line())
            await picture.until(lambda now: LINE in now.keys)
            await asyncio.sleep(2 * STATUS_MAX_AGE_S)
            late = Picture(reader.watch("status"))
            await late.until(lambda now: now.keys == {LINE})  # a line that is not said again never comes back
        await late.until(lambda now: not now.keys)
        await picture.until(lambda now: not now.keys)


async def test_two_buckets_in_one_watch_each_give_their_whole_picture(carrier) -> None:
    async with (
        carrier.bus("meshspec") as meshspec,
        carrier.bus("endpoints") as endpoints,
        carrier.bus("cli") as cli,
        meshspec.writer("meshspec") as one,
        endpoints.writer("endpoints") as two,
    ):
        updates = cli.watch("meshspec", "endpoints")
        await one.publish({MESH: Mesh()})
        first = await Picture(updates).next()
        await two.publish({})
        second = await Picture(updates).next()
        assert [(update.bucket, update.full) for update in (first, second)] == [
            ("meshspec", True),
            ("endpoints", True),
        ]


async def test_a_connected_bus_is_ready(carrier) -> None:
    async with carrier.bus("catalog") as bus:
        assert await bus.ready()
