"""Unix sockets that lead into an isolated workload: to each port of its app, past the sidecar, and to its admin pages.

For its user, who is outside. What is accepted is carried to the port as it is, both ways. The sockets are in the
workload's folder, which is its user's alone.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from osm.contracts.names import Address
from osm.isolation.relay import Streams, carry
from services.local.sidecar_setup import SOCKET_PATH_MAX_BYTES

Connect = Callable[[Address], Awaitable[Streams]]


def door(folder: Path, port: int) -> Path:
    """Where the app's port is reached: in its folder, or beside it under a short name if the path is too long."""
    path = folder / f"{port}.sock"
    if len(bytes(path)) <= SOCKET_PATH_MAX_BYTES:
        return path
    return folder.parent / f"{hashlib.sha256(bytes(path)).hexdigest()[:12]}.sock"


class AppSockets:
    """Of one workload."""

    def __init__(self, leads: Mapping[Path, Address]) -> None:
        self._leads = leads
        self._servers: list[asyncio.Server] = []
        self._carrying: set[asyncio.Task[None]] = set()

    async def open(self, connect: Connect) -> None:
        """Raises OSError."""
        for path, to in self._leads.items():
            path.unlink(missing_ok=True)
            self._servers.append(await asyncio.start_unix_server(self._answer(to, connect), path))

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in tuple(self._carrying):
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        for path in self._leads:
            path.unlink(missing_ok=True)
        self._servers.clear()

    def _answer(self, to: Address, connect: Connect) -> Callable[..., Awaitable[None]]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None, "the server runs this in one"
            self._carrying.add(task)
            try:
                await _carried((reader, writer), connect, to)
            finally:
                self._carrying.discard(task)

        return answer


async def _carried(caller: Streams, connect: Connect, to: Address) -> None:
    """One that does not answer hangs up on its caller, as a port that nobody listens on would."""
    try:
        called = await connect(to)
    except OSError:
        caller[1].close()
        return
    await carry(caller, called)
