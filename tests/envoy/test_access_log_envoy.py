"""What real sidecars write down: a line at each end of a call with every key, the user's own lines, nothing secret."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from google.protobuf.message import Message
from msgspec import structs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from osm.contracts.channels import ACCESS_LOG, MESH_WORKLOAD
from osm.contracts.names import ObjectRef
from osm.contracts.telemetry import AccessLog, ExtensionService, JsonFormat, LogTerms, OpenTelemetry, TextFormat
from services.xds.translate import transparent
from services.xds.translate.log_format import DEFAULT
from tests.envoy.canary_world import BACKS, FRIEND, grant, until, workload
from tests.envoy.canary_world import world as canary_world
from tests.envoy.translate_world import HOST, HTTP, SHOP, Client, Store, World

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(300)]

TELEMETRY = ObjectRef("Telemetry", "osm-system", "lines")
OSM_KEYS = {
    *("start_time", "method", "path", "protocol", "response_code", "response_code_details", "time_to_first_byte"),
    *("upstream_cluster", "response_flags", "bytes_received", "bytes_sent", "duration", "upstream_service_time"),
    *("x_forwarded_for", "user_agent", "request_id", "requested_server_name", "authority", "upstream_host"),
}
"""What Open Service Mesh 1.2 wrote."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(tmp_path, stack)


def log_of(world: World, proxy_id: str) -> Path:
    return world.folder / proxy_id / "envoy.log"


def written(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


async def lines(log: Path, count: int) -> list[dict[str, Any]]:
    """Envoy writes its buffer out within a second or so."""
    await until(f"{count} lines in {log}", lambda: len(written(log)) >= count)
    return written(log)


async def pair(world: World, terms: LogTerms) -> tuple[Store, Client]:
    """The shop and its buyer, who both log so."""
    log = AccessLog(origin=TELEMETRY, terms=terms)
    store = Store(1)
    client = Client([store])
    await world.app("one", store.app)
    await world.echo(store.tcp_app)
    for case in (store.case(), client.case()):
        await world.sidecar(structs.replace(case, access_log=log))
    return store, client


async def ask(client: Client, path: str, **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://shop.books:{HTTP}{path}", proxy=client.proxy, headers=headers) as response,
    ):
        return response.status


async def test_a_call_is_a_line_with_every_key_at_both_ends(world: World) -> None:
    _, client = await pair(world, LogTerms())
    assert await ask(client, "/books/1?token=hidden", Authorization="Bearer hidden", Cookie="hidden=1") == 200
    out, into = [(await lines(log_of(world, each), 1))[0] for each in ("buyer-0.buyers", "store-1.books")]
    assert out.keys() == into.keys() == DEFAULT.keys() == OSM_KEYS
    for line in (out, into):
        assert (line["method"], line["path"], line["response_code"]) == ("GET", "/books/1", 200)
        assert line["authority"] == f"shop.books:{HTTP}"
        assert line["protocol"] == "HTTP/1.1"
        assert line["user_agent"].startswith("Python/")
        assert line["duration"] >= line["time_to_first_byte"] >= 0
        assert line["bytes_sent"] > 0
        assert line["response_flags"] in (None, "-")
        assert line["response_code_details"] == "via_upstream"
    assert out["request_id"] == into["request_id"]
    assert out["upstream_cluster"] == f"{SHOP}|{HTTP}"
    assert into["requested_server_name"] == SHOP.fqdn
    for proxy in ("buyer-0.buyers", "store-1.books"):
        assert "hidden" not in log_of(world, proxy).read_text()


async def test_who_is_refused_is_on_record(world: World) -> None:
    _, client = await pair(world, LogTerms())
    assert await ask(client, "/admin") == 403
    (line,) = await lines(log_of(world, "store-1.books"), 1)
    assert (line["path"], line["response_code"]) == ("/admin", 403)
    assert line["response_code_details"].startswith("rbac_access_denied")


async def test_a_connection_that_is_no_http_is_a_line_too(world: World) -> None:
    _, client = await pair(world, LogTerms())
    reader, writer = await asyncio.open_connection(HOST, client.tcp_port)
    writer.write(b"ping\n")
    assert await reader.read() == b"ping\n"
    writer.close()
    for proxy in ("buyer-0.buyers", "store-1.books"):
        (line,) = await lines(log_of(world, proxy), 1)
        assert (line["bytes_received"], line["bytes_sent"]) == (5, 5)
        assert line["method"] is None
        assert line["upstream_host"]


async def test_who_comes_without_the_meshs_tls_is_on_record(world: World) -> None:
    store, _ = await pair(world, LogTerms())
    reader, writer = await asyncio.open_connection(HOST, store.inbound)
    writer.write(b"GET /books/1 HTTP/1.1\r\nHost: x\r\n\r\n")
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    (line,) = await lines(log_of(world, "store-1.books"), 1)
    assert (line["response_flags"], line["response_code_details"]) == ("NR", "filter_chain_not_found")


async def test_the_users_json_is_written_as_it_is_meant(world: World) -> None:
    template = '{"asked":{"path":"%REQ(:PATH)%"},"code":"%RESPONSE_CODE%","list":["%PROTOCOL%",1,true],"of":"%%"}'
    _, client = await pair(world, LogTerms(format=JsonFormat(template=template)))
    assert await ask(client, "/books/1?a=b") == 200
    assert await lines(log_of(world, "store-1.books"), 1) == [
        {"asked": {"path": "/books/1?a=b"}, "code": 200, "list": ["HTTP/1.1", 1, True], "of": "%"}
    ]


async def test_the_users_text_is_a_line_each_and_a_log_may_be_emptied_under_envoy(world: World) -> None:
    """The agent bounds a log so: without append mode, Envoy would go on far behind the end and leave a hole."""
    text = "%REQ(:METHOD)% %REQ_WITHOUT_QUERY(:PATH)% %RESPONSE_CODE%\n"
    _, client = await pair(world, LogTerms(format=TextFormat(line=text)))
    log = log_of(world, "store-1.books")
    for _ in range(2):
        assert await ask(client, "/books/1?a=b") == 200
    await until("two lines", lambda: log.read_text().count("GET /books/1 200\n") == 2)
    os.truncate(log, 0)
    assert await ask(client, "/books/2") == 200
    await until("one more", lambda: log.read_text() == "GET /books/2 200\n")


async def test_a_format_that_envoy_refuses_names_its_telemetry_and_stops_at_the_canary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def log(line: str) -> dict[str, Any]:
        key = ACCESS_LOG.key(TELEMETRY.namespace, TELEMETRY.name)
        return {key: AccessLog(origin=TELEMETRY, terms=LogTerms(format=TextFormat(line=line)))}

    async with canary_world(tmp_path / "w", monkeypatch, grant("friend", FRIEND)) as mesh:
        envoys = [await mesh.envoy(number) for number in (0, 1, 2)]
        chosen = {
            MESH_WORKLOAD.key(each.proxy_id): structs.replace(
                workload(each.proxy_id, BACKS, "127.0.0.1"), telemetry=TELEMETRY
            )
            for each in envoys
        }
        await mesh.put({**log("%PROTOCOL%\n"), **chosen})

        async def all_log() -> bool:
            return all(["%PROTOCOL%" in json.dumps(await each.dump("ListenersConfigDump")) for each in envoys])

        await until("all log", all_log)

        await mesh.put(log("%NO_SUCH_OPERATOR%\n"))
        await until("the Telemetry is told", lambda: mesh.word_on(TELEMETRY) is not None)
        word = mesh.word_on(TELEMETRY)
        assert word is not None
        assert word.problems[0].field == "spec.accessLog.format"
        assert "NO_SUCH_OPERATOR" in word.problems[0].what
        states = [status.state for each in envoys if (status := mesh.status(each.proxy_id))]
        assert states.count("rejected") == 1
        assert await all_log()

        await mesh.put(log("%RESPONSE_CODE% %PROTOCOL%\n"))
        await until("its word is taken back", lambda: mesh.word_on(TELEMETRY) is None)


def field(message: Message, number: int) -> Any:
    """By its number: two packages bring OpenTelemetry's messages, of two ages and with other names."""
    return next(value for each, value in message.ListFields() if each.number == number)


async def test_entries_go_to_the_users_collector_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[ExportLogsServiceRequest] = []

    async def export(request: ExportLogsServiceRequest, _context: Any) -> ExportLogsServiceResponse:
        received.append(request)
        return ExportLogsServiceResponse()

    method = grpc.unary_unary_rpc_method_handler(
        export, ExportLogsServiceRequest.FromString, ExportLogsServiceResponse.SerializeToString
    )
    service = "opentelemetry.proto.collector.logs.v1.LogsService"
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {"Export": method})])
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    terms = LogTerms(
        format=JsonFormat(template='{"flags":"%RESPONSE_FLAGS%","more":{"why":"%RESPONSE_CODE_DETAILS%"}}'),
        open_telemetry=OpenTelemetry(namespace="osm-system", name="it", attributes=(("cluster", "blue"),)),
    )
    collector = ExtensionService(namespace="osm-system", name="it", host=HOST, port=port)
    try:
        async with canary_world(tmp_path / "w", monkeypatch, grant("friend", FRIEND)) as mesh:
            envoy = await mesh.envoy(0)
            own = structs.replace(workload(envoy.proxy_id, BACKS, HOST), telemetry=TELEMETRY)
            key = ACCESS_LOG.key(TELEMETRY.namespace, TELEMETRY.name)
            log = AccessLog(origin=TELEMETRY, terms=terms, collector=collector)
            await mesh.put({key: log, MESH_WORKLOAD.key(envoy.proxy_id): own})

            async def logs() -> bool:
                return "open_telemetry" in json.dumps(await envoy.dump("ListenersConfigDump"))

            await until("the sidecar logs", logs)
            reader, writer = await asyncio.open_connection(HOST, transparent.INBOUND_ADDRESS.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            with suppress(ConnectionResetError):
                await reader.read()
            writer.close()
            await until("the collector has it", lambda: bool(received))
            assert mesh.word_on(TELEMETRY) is None
            assert "deprecated" not in (envoy.folder / "envoy.log").read_text()
    finally:
        await server.stop(0)
    (resource,) = received[0].resource_logs
    labels = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert (labels["log_name"], labels["node_name"]) == ("osm", envoy.proxy_id)
    (group,) = field(resource, 2)
    (record,) = field(group, 2)
    body = {each.key: each.value for each in record.body.kvlist_value.values}
    assert body["flags"].string_value == "NR"
    assert body["more"].kvlist_value.values[0].value.string_value == "filter_chain_not_found"
    assert [(each.key, each.value.string_value) for each in record.attributes] == [("cluster", "blue")]
