"""For each port of an isolated app a Unix socket that leads to it, past its sidecar: for its user, who is outside.

What is accepted is carried to the port as it is, both ways. The sockets are in the workload's folder, which is its
user's alone.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from osm.contracts.names import Address
from osm.isolation.carrying import Streams, carry
from services.local.ground import SOCKET_PATH_MAX_BYTES

Connect = Callable[[Address], Awaitable[Streams]]


def door(folder: Path, port: int) -> Path:
    """Where the app's port is reached: in its folder, or beside it under a short name if the path is too long."""
    path = folder / f"{port}.sock"
    if len(bytes(path)) <= SOCKET_PATH_MAX_BYTES:
        return path
    return folder.parent / f"{hashlib.sha256(bytes(path)).hexdigest()[:12]}.sock"


class Doors:
    """Of one workload."""

    def __init__(self, folder: Path, apps: tuple[Address, ...]) -> None:
        self._folder = folder
        self._apps = apps
        self._servers: list[asyncio.Server] = []
        self._carrying: set[asyncio.Task[None]] = set()

    async def open(self, connect: Connect) -> None:
        """Raises OSError."""
        for app in self._apps:
            path = door(self._folder, app.port)
            path.unlink(missing_ok=True)
            self._servers.append(await asyncio.start_unix_server(self._answer(app, connect), path))

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in tuple(self._carrying):
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        for app in self._apps:
            door(self._folder, app.port).unlink(missing_ok=True)
        self._servers.clear()

    def _answer(self, app: Address, connect: Connect) -> Callable[..., Awaitable[None]]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None, "the server runs this in one"
            self._carrying.add(task)
            try:
                await _carried((reader, writer), connect, app)
            finally:
                self._carrying.discard(task)

        return answer


async def _carried(caller: Streams, connect: Connect, app: Address) -> None:
    """An app that does not answer hangs up on its caller, as a port that nobody listens on would."""
    try:
        called = await connect(app)
    except OSError:
        caller[1].close()
        return
    await carry(caller, called)
