"""Serves an embedded mesh's bus to the CLI over a Unix socket: the server's end.

Whoever can open the socket may read everything and ask what the CLI may ask, so the socket is the user's own:
mode 0600 in a folder of mode 0700. Nothing can be written over it.
"""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from osm.bus import Bus, BusError, NoAnswer, Update, socket_lines
from osm.bus.socket_lines import Ask, Failed, Reply, Request, Told, Watch, Written
from osm.contracts.channels import RPCS, STATES
from osm.contracts.codec import Undecodable, decode, encode

MAX_PATH_BYTES = 107
"""What fits into `sockaddr_un.sun_path` with its closing zero (unix(7))."""

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


@asynccontextmanager
async def lend(bus: Bus, path: Path) -> AsyncIterator[None]:
    """Serve `bus` at `path` while the context is open.

    Raises BusError if another mesh serves there, or the folder is not the user's own.
    """
    await _make_room(path)
    conversations: set[asyncio.Task[None]] = set()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        try:
            await _converse(bus, reader, writer)
        finally:
            conversations.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(converse, path, limit=socket_lines.MAX_REQUEST_BYTES)
    _protect(path)  # the folder kept others out until here
    try:
        yield
    finally:
        server.close()
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)
        _remove(path)


async def _converse(bus: Bus, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):  # the asker has gone: there is nobody to tell
        try:
            request = await socket_lines.read(reader, _requests)
        except BusError as error:
            await socket_lines.write(writer, Failed(why=f"{error} (the mesh may be older than this CLI)"))
            return
        if isinstance(request, Ask):
            await socket_lines.write(writer, await _answer(bus, request))
        elif isinstance(request, Watch):
            await _watch_until_gone(bus, request, reader, writer)


async def _answer(bus: Bus, request: Ask) -> Reply | Failed:
    rpc = next((rpc for rpc in RPCS if (rpc.owner, rpc.verb) == (request.owner, request.verb)), None)
    if rpc is None:
        return Failed(why=f"{request.owner} {request.verb}: no such question (the mesh may be older than this CLI)")
    try:
        question: Struct = decode(rpc.request, request.request)
        return Reply(body=encode(await bus.ask(rpc, question, timeout_s=request.timeout_s)))
    except (BusError, Undecodable) as error:
        return Failed(why=str(error), no_answer=isinstance(error, NoAnswer))


async def _watch_until_gone(
    bus: Bus, request: Watch, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """An idle watch would not notice that its reader has gone; the end of what the reader sends says so."""
    telling = asyncio.ensure_future(_tell(bus, request, writer))
    gone = asyncio.ensure_future(reader.read())
    try:
        await asyncio.wait((telling, gone), return_when=asyncio.FIRST_COMPLETED)
        if telling.done():
            telling.result()
    finally:
        for task in (telling, gone):
            task.cancel()
        await asyncio.gather(telling, gone, return_exceptions=True)


async def _tell(bus: Bus, request: Watch, writer: asyncio.StreamWriter) -> None:
    states = [state for state in STATES if f"{state.bucket}.{state.entity}" in request.states]
    if len(states) < len(request.states):
        why = f"not all known: kinds of key {', '.join(request.states)} (the mesh may be older than this CLI)"
        await socket_lines.write(writer, Failed(why=why))
        return
    try:
        async for update in bus.watch(*request.buckets, states=states):
            await _tell_update(update, writer)
    except BusError as error:
        await socket_lines.write(writer, Failed(why=str(error)))


async def _tell_update(update: Update, writer: asyncio.StreamWriter) -> None:
    for document in update.documents:
        line = Written(
            bucket=document.bucket,
            key=document.key,
            revision=document.revision,
            writer=document.writer,
            trace=document.trace,
            deleted=document.deleted,
            body=document.body,
            why=document.why,
        )
        await socket_lines.write(writer, line)
    told = Told(bucket=update.bucket, full=update.full, revision=update.revision, incarnation=update.incarnation)
    await socket_lines.write(writer, told)


async def _make_room(path: Path) -> None:
    _require_own_folder(path)
    with suppress(ConnectionError, FileNotFoundError):  # refused: the socket of a mesh that was killed
        _, writer = await asyncio.open_unix_connection(path)
        writer.close()
        raise BusError(f"socket {path}: another mesh is serving here")
    _remove(path)


def _require_own_folder(path: Path) -> None:
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise BusError(f"socket {path}: the path is longer than {MAX_PATH_BYTES} bytes")
    path.parent.mkdir(mode=socket_lines.FOLDER_MODE, parents=True, exist_ok=True)
    about = path.parent.stat()
    mode = stat.S_IMODE(about.st_mode)
    if about.st_uid != os.geteuid() or mode & 0o077:
        found = f"mode {mode:04o} of user {about.st_uid}"
        raise BusError(f"socket {path}: the folder has {found}, allowed is 0700 of user {os.geteuid()}")


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _protect(path: Path) -> None:
    path.chmod(socket_lines.SOCKET_MODE)
