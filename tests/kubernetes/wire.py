"""A wire to an API server that a test can cut, freeze and mend."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Wire:
    """Passes bytes both ways, unless it is cut or frozen."""

    def __init__(self, target: str) -> None:
        self.address = ""
        self.opened = 0
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._flows = asyncio.Event()
        self._flows.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._refuse = False
        self._over = False

    def cut(self, *, refuse: bool = False) -> None:
        """Break every connection; with `refuse`, every new one too until `mend`."""
        self._refuse = refuse
        for writer in self._open:
            writer.transport.abort()

    def freeze(self) -> None:
        """Bytes no longer pass, and nobody is told. Connections that are opened later pass again after `mend`."""
        self._flows.clear()

    def mend(self) -> None:
        self._refuse = False
        self._flows.set()

    def forget_frozen(self) -> None:
        """What was frozen stays so for good; new connections pass."""
        self._flows = asyncio.Event()
        self._flows.set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Where a server hands over what it accepted; the last may come when it is closed already."""
        self.opened += 1
        if self._refuse or self._over:
            writer.transport.abort()
            return
        self._open.add(writer)
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._ended(ended, writer))

    async def end(self) -> None:
        self._over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flows = self._flows
        try:
            there, back = await asyncio.open_connection(self._host, self._port)
        except OSError:
            return
        self._open.add(back)
        try:
            await asyncio.gather(_pass(reader, back, flows), _pass(there, writer, flows))
        finally:
            self._open.discard(back)
            back.transport.abort()

    def _ended(self, task: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        """Also of a task that was cancelled before its first line ran."""
        self._tasks.discard(task)
        self._open.discard(writer)
        writer.transport.abort()


async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, flows: asyncio.Event) -> None:
    try:
        while data := await source.read(65536):
            await flows.wait()
            sink.write(data)
            await sink.drain()
    except OSError:
        return
    finally:
        sink.close()


@asynccontextmanager
async def wire(target: str) -> AsyncIterator[Wire]:
    """Listens on a loopback port of its own for as long as the block runs."""
    open_wire = Wire(target)
    server = await asyncio.start_server(open_wire.accept, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    open_wire.address = f"{host}:{port}"
    try:
        yield open_wire
    finally:
        server.close()
        await open_wire.end()
