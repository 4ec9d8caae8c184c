"""Whether a stream may start, and when: up to a number of streams, at a bounded rate, after a bounded wait.

So that a thousand proxies that come back at once are served in turn and not all late, and so that neither memory nor
the queue grows with how many come. Who finds no room is told so and comes back: Envoy does, ever more slowly.
It knows neither gRPC nor who the proxies are.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class NoRoom(Exception):
    """Not here or not now: the message says which limit is reached; to come back later is right."""


class Admission:
    """The limits of one server. Rates are streams a second, waits seconds."""

    def __init__(self, *, per_second: float, max_streams: int, max_wait_s: float) -> None:
        self._interval_s = 1.0 / per_second
        self._max_streams = max_streams
        self._most_waiting = max(1, int(per_second * max_wait_s))
        self._max_wait_s = max_wait_s
        self._door = asyncio.Lock()
        self._next_turn = 0.0
        self._closed = asyncio.Event()
        self.streams = 0
        self.waiting = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A stream's place for as long as it lasts. Raises NoRoom."""
        if self.streams >= self._max_streams:
            raise NoRoom(f"{self._max_streams} streams are open, which is all that max_streams allows here; come back")
        self.streams += 1
        try:
            yield
        finally:
            self.streams -= 1

    async def turn(self) -> None:
        """Wait for one's turn; turns are given in the order of asking, and none to who has left. Raises NoRoom."""
        if self.waiting >= self._most_waiting:
            raise NoRoom(
                f"{self.waiting} streams wait to start, as many as start in {self._max_wait_s:g} s; come back later"
            )
        self.waiting += 1
        try:
            async with self._door:
                await self._until_next_turn()
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """No more turns are waited for: who waits goes on at once, and learns that the server is stopping."""
        self._closed.set()

    async def _until_next_turn(self) -> None:
        if self._closed.is_set():
            return
        now = asyncio.get_running_loop().time()
        turn = max(self._next_turn, now)
        if turn > now:
            with suppress(TimeoutError):
                async with asyncio.timeout(turn - now):
                    await self._closed.wait()
        self._next_turn = turn + self._interval_s
