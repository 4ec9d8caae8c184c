import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest

from osm.contracts.names import Address
from services.local.plan_types import Check
from services.local.probe import probe, watch


@asynccontextmanager
async def serving(serve):
    """A server; its connections are closed after `serve`, and all are done with when the context ends."""
    conversations = set()

    async def converse(reader, writer):
        conversations.add(asyncio.current_task())
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    try:
        yield Address("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await asyncio.gather(*conversations)


@asynccontextmanager
async def answering(answers):
    """A server that gives these bytes, one connection after the other, the last one for ever; yields its address."""
    rest = list(answers)

    async def serve(reader, writer):
        await reader.readline()
        writer.write(rest.pop(0) if len(rest) > 1 else rest[0])

    async with serving(serve) as address:
        yield address


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        (b"HTTP/1.0 302 Found\r\n\r\n", ""),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", "answered 503"),
        (b"SSH-2.0-OpenSSH\r\n", "answered no HTTP"),
        (b"HTTP/1.1 nonsense\r\n", "invalid literal"),
        (b"", "0 bytes read"),
    ],
)
async def test_a_get_must_be_answered_with_2xx_or_3xx(answer, why):
    async with answering([answer]) as address:
        said = await probe(Check(address=address, path="/ready"))
    assert (why in said) if why else said == ""


async def test_a_connection_is_enough_without_a_path():
    async with answering([b""]) as address:
        assert await probe(Check(address=address)) == ""


async def test_nobody_listening_is_said_so():
    async with answering([b""]) as address:
        pass
    assert await probe(Check(address=address)) == f"nothing listens on {address}"


async def test_a_server_that_does_not_answer_is_not_waited_for():
    async def mute(reader, writer):
        await reader.read()

    async with serving(mute) as address:
        assert "no answer from" in await probe(Check(address=address, path="/", timeout_s=0.05))


async def heard(answers, count, **check):
    said = []
    async with answering(answers) as address:
        done = asyncio.Event()

        def told(ready, _why):
            said.append(ready)
            if len(said) == count:
                done.set()

        task = asyncio.create_task(watch(Check(address=address, path="/", period_s=0.001, **check), told))
        async with asyncio.timeout(30):
            await done.wait()
        task.cancel()
        await asyncio.wait([task])
    return said


GOOD, BAD = b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 500 Oh\r\n\r\n"


async def test_one_failure_does_not_make_a_ready_program_unready():
    assert await heard([GOOD, BAD, GOOD, BAD, BAD, BAD], 6) == [True, True, True, True, True, False]


async def test_as_many_successes_as_asked_for_make_it_ready():
    assert await heard([GOOD, BAD, GOOD, GOOD], 4, successes=2) == [False, False, False, True]
