"""The engine under a stopwatch: when the last proxy answered, and what was sent. It changes nothing.

Times are taken where the answer is taken in, on the monotonic clock, so no status line's throttle rounds them.
"""

import asyncio
import time

from osm.ads.engine import Engine, Session
from osm.ads.subscription import Answer
from osm.ads.wire import Request


class WatchedEngine(Engine):
    """Give it to xds instead of an engine of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.batch = 0
        self.pushes = 0
        self.bytes = 0
        self.given_s = 0.0
        self.answered_s = 0.0
        self.rogues = 0
        """So many streams that never answer are not waited for."""
        self._goal: int | None = None
        self._reached = asyncio.Event()

    @property
    def streams(self) -> int:
        """How many are open."""
        return len(self._sessions)

    async def next_batch(self, after: int | None = None) -> None:
        """Wait until one more batch than `after` (now) has been given and every proxy has answered it.

        `given_s` then is when the engine had it, `answered_s` when the last answer came.
        """
        self._goal = (self.batch if after is None else after) + 1
        self._reached.clear()
        self._look()
        await self._reached.wait()

    def advance(self, revision: int) -> None:
        super().advance(revision)
        self.batch = revision
        self.given_s = time.monotonic()
        self._look()

    def next_response(self, session: Session, now: float) -> bytes | None:
        response = super().next_response(session, now)
        if response is not None:
            self.pushes += 1
            self.bytes += len(response)
        return response

    def receive(self, session: Session, request: Request) -> Answer | None:
        answer = super().receive(session, request)
        if answer is not None:
            self.answered_s = time.monotonic()
            self._look()
        return answer

    def _look(self) -> None:
        goal = self._goal
        if goal is not None and self._complete_revision >= goal and self._owing(goal) <= self.rogues:
            self._goal = None
            self._reached.set()

    def _owing(self, revision: int) -> int:
        """Streams that owe an answer to this change or an older one; what is held back counts as one each."""
        streams = sum(count for since, count in self._streams_owing.items() if since <= revision)
        return streams + sum(since <= revision for since in self._held_back.values())
