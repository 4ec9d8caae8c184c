"""What the C library is told about memory. Separate because it is the one place that calls it behind Python's back."""

import ctypes

M_ARENA_MAX = -8
"""As glibc's malloc.h numbers it."""

WORTH_IT = 50
"""Connections that came or went: each leaves some 50 KB of holes, and giving back takes a few milliseconds."""

AFTER_S = (1.0, 5.0, 25.0, 125.0)
"""How long after the last of them memory is given back. Not once: gRPC lets go of what the first configuration filled
only when a connection is written to again."""


NO_LATER_S = 1.0
"""For so long it is put off while answers are waited for. A mesh that changes all the time would never see it."""


def use_one_arena() -> bool:
    """Let all threads share one heap; False where the C library has no such switch (musl, macOS).

    glibc gives threads heaps of their own, and gRPC's hand what they read to the main one: each heap keeps holes that
    the others need. Ours are few threads that seldom allocate at once. To be called before any thread is started.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(M_ARENA_MAX, 1))


def give_back() -> bool:
    """Return free pages to the system; False where the C library cannot (musl, macOS).

    glibc by itself returns the heap's end only: what a herd of connections has left below stays with the process.
    Seen: 28 MB of 187 after 500 proxies, 4 ms to give back.
    """
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return False
    malloc_trim(0)
    return True


class Calm:
    """When to give memory back: several times after a storm of connections. Pure: `now` is in seconds."""

    def __init__(self) -> None:
        self._connections = 0
        self._changed_at = 0.0
        self._came_and_went = 0
        self._due: tuple[float, ...] = ()

    def look(self, connections: int, now: float, *, busy: bool) -> bool:
        """Whether now is the time; `busy`: answers are waited for, so rather not now."""
        if connections != self._connections:
            self._came_and_went += abs(connections - self._connections)
            self._connections, self._changed_at = connections, now
            if self._came_and_went >= WORTH_IT:
                self._due = AFTER_S
        if not self._due or now < (due_at := self._changed_at + self._due[0]):
            return False
        if busy and now < due_at + NO_LATER_S:
            return False
        self._due, self._came_and_went = self._due[1:], 0
        return True
