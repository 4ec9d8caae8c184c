"""Throttles repeated log lines: each is written at once, and again while it stays true, but seldom. Pure.

Apart from those who say them, since what fails fails again with every attempt, and often in two or three ways by turns.
"""

AGAIN_S = 60.0
"""Often enough for who looks at the last lines of a log, too seldom to fill a disk."""


class LogThrottle:
    """What was said lately. It holds as many sentences as differ within `AGAIN_S`."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}

    def due(self, sentence: str, now: float) -> bool:
        """Whether to say it now; then it counts as said."""
        self._said_at = {said: at for said, at in self._said_at.items() if now - at < AGAIN_S}
        if sentence in self._said_at:
            return False
        self._said_at[sentence] = now
        return True

    def over(self) -> None:
        """It is no longer so: what comes now is news."""
        self._said_at.clear()
