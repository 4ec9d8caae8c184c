"""Where a workload's programs run: on the machine as it is, or in a network namespace of the workload's own.

Apart from the lifecycles that use it, so that they need not know which. A placement is opened before anything of its
workload starts, and closed after all has ended.
"""

import asyncio
import contextlib
from typing import Protocol

from osm.contracts.names import Address
from osm.isolation.namespace_commands import APP_MAY, SIDECAR_MAY, Names, workload
from osm.isolation.network_namespace import NetworkNamespace
from osm.isolation.network_setup import NetworkFailed, make_own, unmake_own
from services.local.app_sockets import AppSockets

Command = tuple[str, ...]


class Placement(Protocol):
    """Where one workload's programs run."""

    async def open(self) -> None:
        """Before the first program. Raises NetworkFailed, OSError."""

    async def close(self) -> None:
        """After the last."""

    def enter(self, pid: int) -> None:
        """In place of `open`: it is open already, and this process is in it. Raises OSError."""

    def for_app(self, command: Command) -> Command:
        """What starts `command` there, as an app."""

    def for_sidecar(self, command: Command) -> Command:
        """What starts `command` there, as the sidecar."""

    async def connect(self, to: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """To where an app listens, past its sidecar. Raises OSError."""


class OnMachine:
    """The machine as it is."""

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Nothing to do."""

    def enter(self, pid: int) -> None:
        """Everybody is here."""

    def for_app(self, command: Command) -> Command:
        return command

    def for_sidecar(self, command: Command) -> Command:
        return command

    async def connect(self, to: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(to.host, to.port)


class Isolated:
    """A namespace with an address, redirect rules and names of its own, and a door for each port of the app."""

    def __init__(self, slot: int, names: Names, sockets: AppSockets) -> None:
        self._slot = slot
        self._names = names
        self._sockets = sockets
        self._space: NetworkNamespace | None = None

    async def open(self) -> None:
        if self._space is None:
            self._space = await asyncio.to_thread(make_own, self._slot)
        await self._sockets.open(self.connect)

    def enter(self, pid: int) -> None:
        self._space = NetworkNamespace.of(pid)

    async def close(self) -> None:
        await self._sockets.close()
        if self._space is not None:
            with contextlib.suppress(NetworkFailed):  # the namespace may have ended, and the link with it
                await asyncio.to_thread(unmake_own, self._slot)
            self._space.close()
            self._space = None

    def for_app(self, command: Command) -> Command:
        return workload(self._opened().path, self._names, APP_MAY, command)

    def for_sidecar(self, command: Command) -> Command:
        return workload(self._opened().path, self._names, SIDECAR_MAY, command)

    async def connect(self, to: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await self._opened().connect(to)

    def _opened(self) -> NetworkNamespace:
        if self._space is None:
            raise OSError("the workload's network has been taken away")
        return self._space
