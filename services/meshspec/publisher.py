"""Writes pictures to bucket `meshspec`: the first as its whole content, then as changes.

Apart from `diff`, which decides what to write; here is only what has been written.
"""

from collections.abc import Mapping

import structlog
from msgspec import Struct, structs

from osm.bus import Writer
from services.meshspec.diff import step
from services.meshspec.state import Picture

log = structlog.get_logger()


class Publisher:
    """One writer's work; `revision` is the bucket's after it."""

    def __init__(self, writer: Writer) -> None:
        self.revision = 0
        self._writer = writer
        self._inherited = frozenset(writer.held())
        self._written: Mapping[str, Struct] | None = None

    async def write(self, now: Picture) -> None:
        """Raises BusError or LeadershipLost."""
        closed = {key: document for key, document in now.closed.items() if key not in self._inherited}
        now = structs.replace(now, documents={**closed, **now.documents})
        todo = step(self._written or {}, now, self._inherited)
        if self._written is None:
            self.revision = await self._writer.publish(now.documents, keep=todo.inherited)
        elif todo.puts or todo.deletes:
            self.revision = await self._writer.apply(todo.puts, todo.deletes)
            log.info("policies published", put=len(todo.puts), deleted=len(todo.deletes), revision=self.revision)
        self._written, self._inherited = now.documents, todo.inherited
