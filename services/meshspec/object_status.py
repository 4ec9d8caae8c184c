"""Writes the status and Events of policy objects on a cluster. The forward path never waits for it.

Apart from the source, which only reads. What cannot be written is tried again; what changes meanwhile is said once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import NoReturn

import structlog

from osm.contracts.names import ObjectRef
from osm.k8s.client import Cluster
from osm.k8s.errors import ApiError, Busy, NotFound, Unreachable
from osm.k8s.events import tell
from osm.k8s.objects import ObjectReference
from services.meshspec.cluster_state import Standing
from services.meshspec.status_text import Due, StatusText, due

SETTLE_S = 1.0
"""Objects that refer to one another are often applied one by one: what is wrong for a moment is not told."""

BETWEEN_S = 0.1
"""Between two objects: a thousand policies that change at once do not flood the API server."""

AGAIN_S = 5.0
"""Until what could not be written is tried again."""

COMPONENT = "osm-meshspec"

log = structlog.get_logger()


class StatusWriter:
    """Says the newest words, each once."""

    def __init__(self, cluster: Cluster, standing: Callable[[ObjectRef], Standing | None]) -> None:
        self._cluster = cluster
        self._standing = standing
        self._words: Mapping[ObjectRef, StatusText] = {}
        self._said: dict[ObjectRef, tuple[str, int, StatusText]] = {}
        self._new = asyncio.Event()
        self._silenced = ""

    def say(self, words: Mapping[ObjectRef, StatusText]) -> None:
        """From now on these are the words."""
        self._words = words
        self._new.set()

    async def serve(self) -> NoReturn:
        """Ended by cancellation."""
        again = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S if again else None):
                    await self._new.wait()
            await asyncio.sleep(SETTLE_S)
            self._new.clear()
            self._said = {ref: said for ref, said in self._said.items() if ref in self._words}
            again = not await self._say_all()

    async def _say_all(self) -> bool:
        """Whether all could be said. One object that cannot be told keeps nothing from the others."""
        refused = ""
        for ref in tuple(self._words):
            word, standing = self._words.get(ref), self._standing(ref)
            if word is None or standing is None or self._said.get(ref) == (standing.uid, standing.generation, word):
                continue
            if (todo := due(word, standing)) is not None:
                try:
                    await self._write(ref, standing, todo)
                except (Unreachable, Busy) as error:
                    self._silence(str(error))
                    return False
                except ApiError as error:
                    refused = str(error)
                    continue
                await asyncio.sleep(BETWEEN_S)
            self._said[ref] = (standing.uid, standing.generation, word)
        self._silence(refused)
        return not refused

    async def _write(self, ref: ObjectRef, standing: Standing, todo: Due) -> None:
        """Raises ApiError. A kind whose definition has no status has Events alone, and those of mistakes alone."""
        patch = {"metadata": {"uid": standing.uid}, "status": todo.status}
        try:
            await self._cluster.patch(standing.what, ref.name, patch, ref.namespace, subresource="status")
            news = todo.news
        except NotFound:
            news = todo.word.warning
        if news:
            about = ObjectReference(
                api_version=standing.what.api_version,
                kind=ref.kind,
                namespace=ref.namespace,
                name=ref.name,
                uid=standing.uid,
            )
            word = todo.word
            await tell(self._cluster, about, word.event, word.reason, warning=word.warning, component=COMPONENT)

    def _silence(self, why: str) -> None:
        if why and not self._silenced:
            log.warning("policies not told what came of them", why=why)
        self._silenced = why
