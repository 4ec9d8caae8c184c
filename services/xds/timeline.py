"""Batches of changes, numbered here, and the catalog revision each of them reached.

Pure. The engine wants a number that only grows; the catalog's bucket may be made anew and count from one again,
and bundles and leaves change between its revisions. So batches are numbered, and remembered until acknowledged.
"""

from collections import deque


class Timeline:
    """Which catalog revision all batches up to a number have brought."""

    def __init__(self) -> None:
        self.batch = 0
        self._reached: deque[tuple[int, int]] = deque([(0, 0)])

    def advance(self, revision: int) -> int:
        """A batch begins, which brings the catalog up to `revision`; its number."""
        self.batch += 1
        if self._reached[-1][1] != revision:
            self._reached.append((self.batch, revision))
        return self.batch

    def revision_of(self, batch: int) -> int:
        """The catalog revision that was reached with this batch; older batches are forgotten."""
        while len(self._reached) > 1 and self._reached[1][0] <= batch:
            self._reached.popleft()
        return self._reached[0][1]
