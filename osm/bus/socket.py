"""The bus of an embedded mesh as another process sees it: the reading half, over its Unix socket.

For the CLI, which is then the same code over an embedded mesh and over NATS. It cannot write: the rights to a
bucket live in the mesh's own process. When the mesh ends, a watch ends with an error; it does not wait for the next.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from osm.bus import Bus, BusError, Document, NoAnswer, StatusWriter, Update, Writer, documents, socket_lines
from osm.bus.socket_lines import Ask, Failed, Line, Reply, Request, Told, Watch, Written
from osm.contracts.channels import Rpc, State
from osm.contracts.codec import Undecodable, decode

T = TypeVar("T", bound=Struct)
Q = TypeVar("Q", bound=Struct)

READY_TIMEOUT_S = 1.0
"""A mesh on the same machine that takes longer is not ready."""

_lines: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class SocketBus(Bus):
    """Watch and ask over the socket at `path`; everything else raises BusError."""

    def __init__(self, path: Path, name: str = "cli") -> None:
        self.name = name
        self._path = path

    async def watch(self, *buckets: str, states: Collection[State[Any]] = ()) -> AsyncIterator[Update]:
        request = Watch(buckets=buckets, states=tuple(sorted(f"{state.bucket}.{state.entity}" for state in states)))
        gathered: list[Document] = []
        async with self._conversation(request) as lines:
            async for line in lines:
                if isinstance(line, Written):
                    gathered.append(_document(line))
                elif isinstance(line, Told):
                    told, gathered = tuple(gathered), []
                    yield Update(
                        bucket=line.bucket,
                        full=line.full,
                        documents=told,
                        revision=line.revision,
                        incarnation=line.incarnation,
                    )
        raise BusError(f"the mesh at {self._path} has ended")

    async def ask(self, rpc: Rpc[Q, T], request: Q, *, timeout_s: float = 5.0) -> T:
        what = f"{rpc.owner} {rpc.verb}"
        body = documents.encode_one(f"{what}: the request", request, socket_lines.MAX_REQUEST_BYTES // 2)
        async with self._conversation(Ask(owner=rpc.owner, verb=rpc.verb, request=body, timeout_s=timeout_s)) as lines:
            async for line in lines:
                if isinstance(line, Reply):
                    try:
                        return decode(rpc.reply, line.body)
                    except Undecodable as error:
                        raise BusError(f"{what}: {error}") from error
        raise NoAnswer(f"{what}: the mesh at {self._path} has ended")

    async def ready(self) -> bool:
        """Whether a mesh lives there: a connection that says nothing is closed by it, not left hanging."""
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                reader, writer = await asyncio.open_unix_connection(self._path)
                try:
                    writer.write_eof()
                    await reader.read()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False
        return True

    def writer(self, bucket: str, entities: Collection[str] = ()) -> AbstractAsyncContextManager[Writer]:
        scope = f"bucket {bucket} ({', '.join(entities) or 'all'})"
        raise BusError(f"{scope}: nothing can be written over {self._path}, it lends the bus for reading")

    def status(self) -> StatusWriter:
        raise BusError(f"bucket status: nothing can be written over {self._path}, it lends the bus for reading")

    def serve(self, rpc: Rpc[Q, T], answer: Callable[[str, Q], Awaitable[T]]) -> AbstractAsyncContextManager[None]:
        raise BusError(f"{rpc.owner} {rpc.verb}: {answer!r} cannot be served over {self._path}")

    @asynccontextmanager
    async def _conversation(self, request: Request) -> AsyncIterator[AsyncIterator[Line]]:
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=socket_lines.MAX_LINE_BYTES)
        except OSError as error:
            raise BusError(f"no mesh answers at {self._path} ({error.strerror}); is `osm up` running?") from error
        try:
            await socket_lines.write(writer, request)
            yield self._read(reader)
        except ConnectionError as error:
            raise BusError(f"the mesh at {self._path} has ended") from error
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> AsyncIterator[Line]:
        while (line := await socket_lines.read(reader, _lines)) is not None:
            if isinstance(line, Failed):
                raise NoAnswer(line.why) if line.no_answer else BusError(line.why)
            yield line


def _document(line: Written) -> Document:
    about: dict[str, Any] = {
        "bucket": line.bucket,
        "key": line.key,
        "revision": line.revision,
        "writer": line.writer,
        "trace": line.trace,
    }
    if line.why and not line.body:  # not believed where it was read: there is nothing to decode
        return Document(value=None, why=line.why, **about)
    return documents.deletion(**about) if line.deleted else documents.read(body=line.body, **about)
