"""Doors: Unix sockets that lead to an app's ports."""

import asyncio
from contextlib import asynccontextmanager

from osm.contracts.names import Address
from services.local.app_sockets import AppSockets, door
from services.local.sidecar_setup import SOCKET_PATH_MAX_BYTES

APP = Address("10.77.0.9", 8080)


async def echo(reader, writer):
    while chunk := await reader.read(100):
        writer.write(chunk)
    writer.close()


@asynccontextmanager
async def doors(folder, answer=echo):
    """To an app that listens on a port of this machine, or to none."""
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    asked = []

    async def connect(to):
        asked.append(to)
        return await asyncio.open_connection(host, port)

    made = AppSockets({door(folder, 8080): APP})
    await made.open(connect)
    try:
        yield asked, server
    finally:
        await made.close()
        server.close()


async def test_what_is_said_passes_both_ways_until_both_have_ended(tmp_path):
    async with doors(tmp_path) as (asked, _):
        reader, writer = await asyncio.open_unix_connection(door(tmp_path, 8080))
        writer.write(b"hello")
        writer.write_eof()
        assert await reader.read() == b"hello"
        writer.close()
    assert asked == [APP]


async def test_an_app_that_does_not_listen_hangs_up(tmp_path):
    async with doors(tmp_path) as (_, server):
        server.close()
        await server.wait_closed()
        reader, writer = await asyncio.open_unix_connection(door(tmp_path, 8080))
        assert await reader.read() == b""
        writer.close()


async def test_closing_ends_conversations_and_takes_the_sockets_away(tmp_path):
    async with doors(tmp_path):
        reader, writer = await asyncio.open_unix_connection(door(tmp_path, 8080))
        writer.write(b"hello")
        assert await reader.read(5) == b"hello"
    assert await reader.read() == b""
    assert list(tmp_path.iterdir()) == []
    writer.close()


def test_a_path_that_is_too_long_is_shortened(tmp_path):
    folder = tmp_path / ("long" * 30)
    assert len(bytes(door(folder, 8080))) <= max(SOCKET_PATH_MAX_BYTES, len(bytes(folder.parent)) + 20)
    assert door(folder, 8080).parent == tmp_path
    assert door(folder, 8080) != door(folder, 9090)
