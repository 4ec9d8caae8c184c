"""`osm status --watch`: the same tables, drawn anew as things change; plain lines of what changed when piped.

Separate from the tables because it waits: one watch on the bucket of status lines, drawn no more often than people
can read.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import NoReturn

from rich.text import Text

from osm.bus import Bus, Document
from osm.cli.output import stdout

DRAW_EVERY_S = 0.25
"""A change is on all proxies within tenths of a second; people read four pictures a second at most."""

Tables = Callable[[Sequence[Document]], None]
"""Prints what these status lines say."""

News = Callable[[Sequence[Document]], Sequence[str]]
"""What is new since the last call."""


async def pictures(bus: Bus) -> AsyncIterator[tuple[Document, ...]]:
    """All status lines, sorted by key: first as they are, then whenever some have changed."""
    held: dict[str, Document] = {}
    async for update in bus.watch("status"):
        if update.full:
            held.clear()
        for document in update.documents:
            held.pop(document.key, None)
            if not document.deleted:
                held[document.key] = document
        yield tuple(held[key] for key in sorted(held))


async def follow(bus: Bus, tables: Tables, news: News) -> NoReturn:
    """Endless. Draws tables on a terminal; elsewhere prints a line with the time for each thing that is new."""
    if stdout.is_terminal:
        await _draw(bus, tables)
    async for documents in pictures(bus):
        for sentence in news(documents):
            stdout.print(f"{datetime.now().astimezone():%H:%M:%S} {sentence}", markup=False, soft_wrap=True)
    raise AssertionError("unreachable: a watch is endless")


async def _draw(bus: Bus, tables: Tables) -> NoReturn:
    """On a screen of its own, so that what was there before is there again afterwards."""
    async with asyncio.TaskGroup() as tasks:
        latest = _Latest()
        tasks.create_task(latest.keep(bus), name="status lines")
        with stdout.screen() as screen:
            while True:
                screen.update(Text.from_ansi(_drawn(tables, latest.documents), no_wrap=True, overflow="crop"))
                await asyncio.sleep(DRAW_EVERY_S)
    raise AssertionError("unreachable: it draws until it is cancelled")


class _Latest:
    """The newest picture: drawing takes what is there, however often it changes in between."""

    def __init__(self) -> None:
        self.documents: tuple[Document, ...] = ()

    async def keep(self, bus: Bus) -> None:
        async for documents in pictures(bus):
            self.documents = documents


def _drawn(tables: Tables, documents: Sequence[Document]) -> str:
    with stdout.capture() as captured:
        stdout.print(f"[dim]{time.strftime('%H:%M:%S')}, Ctrl-C ends[/]\n")
        tables(documents)
    return captured.get()
