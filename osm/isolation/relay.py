"""Relays between two connections, in both directions, until both have ended."""

import asyncio

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_CHUNK_BYTES = 64 * 1024


async def carry(one: Streams, other: Streams) -> None:
    """Both are closed at the end, whatever it is."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_one_way(one[0], other[1]))
            tasks.create_task(_one_way(other[0], one[1]))
    finally:
        one[1].close()
        other[1].close()


async def _one_way(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """To the end of what is said, which is passed on; a side that hangs up ends both ways."""
    try:
        while (chunk := await source.read(_CHUNK_BYTES)) and not sink.is_closing():
            sink.write(chunk)
            await sink.drain()
        if not sink.is_closing():
            sink.write_eof()
    except OSError:
        sink.close()
