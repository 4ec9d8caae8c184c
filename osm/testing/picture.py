"""What a reader of the bus knows: the picture that updates add up to, for tests that ask "what does it see now?"."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from osm.bus import Document, Update

PATIENCE_S = 60.0
"""A test that waits for longer than this waits for something that does not come."""


class Picture:
    """Reads one watch, update by update. Bodies that cannot be decoded leave the last good document in place."""

    def __init__(self, updates: AsyncIterator[Update]) -> None:
        self.documents: dict[str, Document] = {}
        self.last: Update | None = None
        self._updates = updates

    async def next(self) -> Update:
        """The next update, applied. Raises TimeoutError if none comes."""
        async with asyncio.timeout(PATIENCE_S):
            update = await anext(self._updates)
        self.apply(update)
        return update

    def apply(self, update: Update) -> None:
        if update.full:
            self.documents.clear()
        for document in update.documents:
            if document.deleted:
                self.documents.pop(document.key, None)
            elif not document.why:
                self.documents[document.key] = document
        self.last = update

    async def until(self, reached: Callable[["Picture"], bool]) -> None:
        """Read on until `reached`. Raises TimeoutError if that does not happen."""
        async with asyncio.timeout(PATIENCE_S):
            while not reached(self):
                await self.next()

    @property
    def keys(self) -> set[str]:
        return set(self.documents)

    @property
    def values(self) -> dict[str, Any]:
        return {key: document.value for key, document in self.documents.items()}


async def values_when(
    updates: AsyncIterator[Update], holds: Callable[[Mapping[str, Any]], Any], *, patience_s: float = PATIENCE_S
) -> dict[str, Any]:
    """The watched bucket's values by key, after the first update at which `holds` of them. Raises TimeoutError."""
    seen = Picture(updates)
    async with asyncio.timeout(patience_s):
        async for update in updates:
            seen.apply(update)
            if holds(seen.values):
                return seen.values
    raise AssertionError("a watch does not end")
