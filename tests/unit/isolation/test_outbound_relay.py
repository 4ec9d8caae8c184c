"""The line between a mesh in its own network and the process outside: both ends of it, and what becomes of either."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pytest

from osm.isolation.host_sockets import Granted, Wish, serve
from osm.isolation.outbound_relay import Outside

Line = tuple[socket.socket, socket.socket]
MOST_BYTES = 65536


@pytest.fixture
def line() -> Iterator[Line]:
    inside, outside = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inside.settimeout(0.0)
    with inside, outside:
        yield inside, outside


async def test_a_socket_of_the_world_outside_is_handed_in(line: Line) -> None:
    inside, theirs = line
    asked = Outside(inside)
    serving = asyncio.create_task(serve(theirs))
    with asked.listening():
        listening = await asked.open("listen", "127.0.0.1", 0)
        with listening, await asked.open("connect", *listening.getsockname()) as connected:
            assert connected.getpeername() == listening.getsockname()
    inside.close()
    await serving


async def test_why_there_is_no_socket_is_told(line: Line) -> None:
    inside, theirs = line
    asked = Outside(inside)
    serving = asyncio.create_task(serve(theirs))
    with asked.listening(), pytest.raises(OSError, match="ConnectionRefusedError"):
        await asked.open("connect", "127.0.0.1", 1)
    inside.close()
    await serving


async def test_who_waits_for_a_process_that_ends_is_told(line: Line) -> None:
    inside, theirs = line
    asked = Outside(inside)
    with asked.listening():
        waiting = [asyncio.create_task(asked.open("connect", "192.0.2.1", 80)) for _ in range(2)]
        await asyncio.sleep(0)
        theirs.close()
        for each in waiting:
            with pytest.raises(OSError, match="the process outside has ended"):
                await each
        with pytest.raises(OSError, match="Broken pipe"):
            await asked.open("connect", "192.0.2.1", 80)


async def test_a_line_that_is_full_ends_nobody(line: Line) -> None:
    """Whoever is inside reads again in a moment, and is told that this one socket could not be handed in."""
    inside, theirs = line
    loop = asyncio.get_running_loop()
    theirs.settimeout(0.0)
    wish = Wish(number=7, what="listen", host="127.0.0.1", port=0)
    await loop.sock_sendall(inside, msgspec.json.encode(wish))
    with suppress(BlockingIOError):
        while theirs.send(b"x" * 4096):
            continue
    serving = asyncio.create_task(serve(theirs))
    for _ in range(10):  # turns of the loop: more than it takes to read the wish and try to grant it
        await asyncio.sleep(0)
    while (said := await loop.sock_recv(inside, MOST_BYTES)).startswith(b"xx"):
        continue
    answer = msgspec.json.decode(said, type=Granted)
    assert (answer.number, answer.why.partition(":")[0]) == (7, "BlockingIOError")
    inside.close()
    await serving
