"""How the NATS client gets to a server whose name is not known yet, and to one of several addresses."""

import asyncio
import gc
import socket
from urllib.parse import urlparse

import pytest
import structlog
import uvloop

from osm.bus import BusError, nats_dial
from osm.bus.connect import connect
from osm.bus.nats_connection import open_link
from osm.bus.nats_dial import Names, Wire
from osm.bus.nats_settings import NatsSettings


class Dns:
    """A resolver that answers what it is told, once it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self.answer: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", self._resolve, raising=False)

    async def _resolve(self, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        self.asked += 1
        return [(0, 0, 0, "", (address, port)) for address in await asyncio.shield(self.answer)]


@pytest.fixture
async def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    return Dns(monkeypatch)


async def test_attempts_that_give_up_join_one_lookup(dns: Dns) -> None:
    names = Names()
    for _ in range(3):
        with pytest.raises(TimeoutError, match=r"no address of bus within 0\.01 s"):
            await names.find("bus", 4222, within_s=0.01)
    dns.answer.set_result(["10.0.0.1", "10.0.0.1", "fd00::1"])
    assert await names.find("bus", 4222, within_s=5.0) == ("10.0.0.1", "fd00::1")
    assert dns.asked == 1


async def test_an_answer_is_not_kept(dns: Dns) -> None:
    names = Names()
    dns.answer.set_result(["10.0.0.1"])
    for _ in range(2):
        await names.find("bus", 4222, within_s=5.0)
    assert dns.asked == 2


async def test_a_name_that_is_not_known_is_said_by_name_and_asked_for_again_later(
    dns: Dns, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = []

    async def pause(seconds: float) -> None:
        paused.append(seconds)

    dns.answer.set_exception(socket.gaierror(-3, "Temporary failure in name resolution"))
    names = Names()
    monkeypatch.setattr(nats_dial.asyncio, "sleep", pause)
    for _ in range(2):
        with pytest.raises(ConnectionError, match="no address of bus: Temporary failure in name resolution"):
            await names.find("bus", 4222, within_s=5.0)
    assert paused == [nats_dial.ASK_AGAIN_S]


async def test_the_next_address_is_tried_when_one_refuses(dns: Dns) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    dns.answer.set_result(["127.0.0.2", "127.0.0.1"])
    wire = Wire(Names())
    try:
        await wire.connect(urlparse(f"nats://bus:{port}"), 1024, 5.0)
        assert await wire.read(1) == b""
    finally:
        wire.close()
        server.close()


def test_a_lookup_that_fails_after_its_attempt_leaves_nothing_unretrieved() -> None:
    """On uvloop, as in a pod: the name is of the domain that never exists (RFC 6761)."""
    complaints: list[dict[str, object]] = []

    async def attempts() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        names = Names()
        for _ in range(2):
            with pytest.raises(OSError, match=r"no address of osm-nats\.invalid"):
                await names.find("osm-nats.invalid", 4222, within_s=0.0001)
        await names.close()
        gc.collect()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(attempts())
    assert complaints == []


async def test_a_bus_that_is_not_reached_is_one_line_that_says_why_and_goes_on(dns: Dns) -> None:
    dns.answer.set_exception(socket.gaierror(-3, "Temporary failure in name resolution"))

    async def dial() -> None:
        async with open_link("nats://osm-nats:4222", "xds", NatsSettings(unsigned=True)):
            raise AssertionError("nobody is there")

    with structlog.testing.capture_logs() as lines:
        dialling = asyncio.create_task(dial())
        while dns.asked < 2:
            await asyncio.sleep(0.01)
        dialling.cancel()
        await asyncio.gather(dialling, return_exceptions=True)
    assert [(line["event"], line["error"]) for line in lines] == [
        ("bus not reached, trying again", "no address of osm-nats: Temporary failure in name resolution")
    ]


@pytest.mark.parametrize("url", ["nats://127.0.0.1:none", "nats://", "tls://:4222"])
async def test_a_url_that_names_no_server_is_refused(url: str) -> None:
    with pytest.raises(BusError, match="no such form of address, allowed are"):
        async with connect(url, "xds", NatsSettings(unsigned=True)):
            raise AssertionError("nobody is there")
