"""The way out of the mesh's own network: connections and name queries of workloads, carried on from outside.

It is the world beyond the cluster, no more: what arrives here has passed the workload's sidecar, which lets it out only
if egress is allowed. One address stands for the machine that all this runs on (`HOST`).
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

import msgspec

from osm.isolation.host_sockets import HOST_LOOPBACK, Granted, Wish
from osm.isolation.network import CONTROL_PLANE, HOST, NAMES_PORT, OUT_PORT
from osm.isolation.relay import Streams, carry

_ORIGINAL_DESTINATION = 80  # SO_ORIGINAL_DST, linux/netfilter_ipv4.h
_MOST_BYTES = 4096
ANSWER_WITHIN_S = 5.0
"""A resolver's own patience."""
RESOLV_CONF = Path("/etc/resolv.conf")


class Outside:
    """Asks the process outside for sockets. `run` in a task group."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[socket.socket]] = {}

    async def open(self, what: str, host: str, port: int) -> socket.socket:
        """Raises OSError with what the system said out there."""
        number = next(self._numbers)
        wish = msgspec.convert({"number": number, "what": what, "host": host, "port": port}, Wish)
        granted: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        self._waiting[number] = granted
        try:
            self._line.send(msgspec.json.encode(wish))
            return await granted
        finally:
            del self._waiting[number]

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take answers inside the block."""
        loop = asyncio.get_running_loop()
        self._line.settimeout(0.0)
        loop.add_reader(self._line, self._take)
        try:
            yield
        finally:
            loop.remove_reader(self._line)

    def _take(self) -> None:
        try:
            body, descriptors, _, _ = socket.recv_fds(self._line, _MOST_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            body, descriptors = b"", []
        if not body:
            self._end()
            return
        answer = msgspec.json.decode(body, type=Granted)
        made = socket.socket(fileno=descriptors[0]) if descriptors else None
        waiting = self._waiting.get(answer.number)
        if waiting is None or waiting.done():
            if made is not None:
                made.close()
        elif made is None:
            waiting.set_exception(OSError(answer.why))
        else:
            made.settimeout(0.0)
            waiting.set_result(made)

    def _end(self) -> None:
        """It has ended: nobody who waits would ever hear from it."""
        asyncio.get_running_loop().remove_reader(self._line)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(OSError("the process outside has ended"))


@asynccontextmanager
async def way_out(line: socket.socket) -> AsyncIterator[None]:
    """Open while the context is. Raises OSError if its ports are taken."""
    loop = asyncio.get_running_loop()
    outside = Outside(line)
    with outside.listening():
        async with asyncio.TaskGroup() as tasks:
            onward = Onward(outside, tasks)
            server = await asyncio.start_server(onward.connected, CONTROL_PLANE, OUT_PORT)
            names, _ = await loop.create_datagram_endpoint(lambda: Queries(onward), (CONTROL_PLANE, NAMES_PORT))
            try:
                yield
            finally:
                names.close()
                server.close()
                onward.end()


class Onward:
    """What is on its way out, each in a task of the group."""

    def __init__(self, outside: Outside, tasks: asyncio.TaskGroup) -> None:
        self._outside = outside
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()

    def end(self) -> None:
        for task in self._running:
            task.cancel()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._begin(self._carry((reader, writer)))

    def asked(self, query: bytes, answered: Callable[[bytes], None]) -> None:
        self._begin(self._ask(query, answered))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._tasks.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _carry(self, caller: Streams) -> None:
        """What cannot be reached is reset, as a host that refuses would."""
        try:
            host, port = _bound_for(caller[1].get_extra_info("socket"))
            made = await self._outside.open("connect", HOST_LOOPBACK if host == HOST else host, port)
        except OSError:
            caller[1].transport.abort()
            return
        await carry(caller, await asyncio.open_connection(sock=made))

    async def _ask(self, query: bytes, answered: Callable[[bytes], None]) -> None:
        """To the name server of this machine. A query that gets no answer is asked again by whoever asked it."""
        server = _name_server()
        if server is None:
            return
        loop = asyncio.get_running_loop()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                with await self._outside.open("datagrams", server, NAMES_PORT) as line:
                    await loop.sock_sendall(line, query)
                    answered(await loop.sock_recv(line, _MOST_BYTES))


class Queries(asyncio.DatagramProtocol):
    """Workloads' queries of names, and answers back to who asked."""

    def __init__(self, onward: Onward) -> None:
        self._onward = onward
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's is one in all but its ancestry

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        assert self._transport is not None, "data comes after the connection"
        self._onward.asked(data, partial(self._transport.sendto, addr=addr))


def _bound_for(accepted: socket.socket) -> tuple[str, int]:
    """Where a connection was going before it was redirected. Raises OSError."""
    _, port, address = struct.unpack("!HH4s", accepted.getsockopt(socket.SOL_IP, _ORIGINAL_DESTINATION, 16)[:8])
    return socket.inet_ntoa(address), port


def _name_server() -> str | None:
    return name_server(RESOLV_CONF.read_text()) if RESOLV_CONF.exists() else None


def name_server(resolv_conf: str) -> str | None:
    """The first IPv4 name server that is named (resolv.conf(5))."""
    for line in resolv_conf.splitlines():
        match line.split():
            case ["nameserver", address, *_] if ":" not in address:
                return address
    return None
