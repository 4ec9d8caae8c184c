"""How long to wait before a process that has ended is started again. Pure.

Separate because several parts keep processes running, and all want the same of it: at once after a single crash, rarely
when it crashes for good, and as if nothing had been once it has run steadily.
"""


class Restarts:
    """The pauses of one process, in seconds: `first_s`, doubled up to `longest_s`; after `steady_s` they begin anew."""

    def __init__(self, *, first_s: float, longest_s: float, steady_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._steady_s = steady_s
        self._next_s = first_s
        self.proven = False
        """Whether it has ever been steady."""

    def pause_s(self, ran_s: float) -> float:
        """It has ended after so long: the pause before its next start."""
        if ran_s >= self._steady_s:
            self.proven = True
            self._next_s = self._first_s
        pause_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return pause_s
