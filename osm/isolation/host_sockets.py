"""A process that stays outside when a mesh goes into its own network, and opens sockets there for it.

A socket belongs to the network it was made in, whoever holds it. So what is inside asks for a connection outside, or
for a port to listen on there, and is handed the socket (unix(7), SCM_RIGHTS). Nothing else passes between the two.
It ends when nobody inside holds the other end any more. Run as `python -m osm.isolation.host_sockets FD`.
"""

import asyncio
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Literal

import msgspec
from msgspec import Struct

HOST_LOOPBACK = "127.0.0.1"
CONNECT_WITHIN_S = 10.0
_MOST_BYTES = 4096


class Wish(Struct, frozen=True, kw_only=True):
    """A socket of the world outside: connected to `host:port`, or listening there."""

    number: int
    what: Literal["connect", "datagrams", "listen"]
    host: str
    port: int


class Granted(Struct, frozen=True, kw_only=True):
    """`why` there is no socket, else it comes along; `name_servers` is what resolv.conf says out there."""

    number: int
    why: str = ""


def start() -> tuple[socket.socket, "subprocess.Popen[bytes]"]:
    """Start one here; our end of the line to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            (sys.executable, "-m", "osm.isolation.host_sockets", str(theirs.fileno())),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C at the terminal is for the mesh, which ends in order
        )
    return ours, process


async def serve(line: socket.socket) -> None:
    """Grant wishes until the other end is closed."""
    loop = asyncio.get_running_loop()
    line.setblocking(False)  # noqa: FBT003  # its only way to be called
    async with asyncio.TaskGroup() as tasks:
        while body := await loop.sock_recv(line, _MOST_BYTES):
            tasks.create_task(_grant(line, msgspec.json.decode(body, type=Wish)))


async def _grant(line: socket.socket, wish: Wish) -> None:
    """A line that is full at the moment takes words when it is not any more, but never a socket: then that is why."""
    try:
        with await _made(wish) as made:
            socket.send_fds(line, [msgspec.json.encode(Granted(number=wish.number))], [made.fileno()])
    except OSError as error:
        why = f"{type(error).__name__}: {error}"
        refused = msgspec.json.encode(Granted(number=wish.number, why=why))
        with suppress(ConnectionError):  # nobody is inside any more
            await asyncio.get_running_loop().sock_sendall(line, refused)


async def _made(wish: Wish) -> socket.socket:
    kind = socket.SOCK_DGRAM if wish.what == "datagrams" else socket.SOCK_STREAM
    made = socket.socket(socket.AF_INET, kind)
    made.settimeout(0.0)
    try:
        if wish.what == "listen":
            made.bind((wish.host, wish.port))
            made.listen()
        else:
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await asyncio.get_running_loop().sock_connect(made, (wish.host, wish.port))
    except BaseException:
        made.close()
        raise
    return made


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as ours:
        asyncio.run(serve(ours))
