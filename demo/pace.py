"""How fast a shopper buys: a rate turned into "how many are due now".

Pure: the time is a parameter. It forgets a backlog, so that a shopper who was held up does not make up
for it with a burst.
"""

BACKLOG_LIMIT = 16  # purchases that may become due at once
RATE_LIMIT_PER_S = 500.0


class Pace:
    """Accrues due purchases at `per_second`; 0 pauses."""

    def __init__(self, per_second: float, now: float) -> None:
        self.per_second = per_second
        self._accrued = 1.0  # the first purchase is due at once
        self._as_of = now

    def change(self, per_second: float, now: float) -> None:
        """Go on at another rate; what was due is forgotten."""
        self.per_second = per_second
        self._accrued = 0.0
        self._as_of = now

    def due(self, now: float) -> int:
        """Return how many purchases are due at `now` (seconds), and count them as made."""
        accrued = self._accrued + (now - self._as_of) * self.per_second
        self._as_of = now
        number = int(min(accrued, BACKLOG_LIMIT))
        self._accrued = 0.0 if accrued > BACKLOG_LIMIT else accrued - number
        return number if self.per_second > 0 else 0

    def pause_s(self) -> float:
        """Return how long to sleep before asking again: half a purchase's time, within 20 to 100 ms."""
        return min(max(0.5 / self.per_second, 0.02), 0.1) if self.per_second > 0 else 0.1


def parse_rate(given: str) -> float | None:
    """Read purchases per second; None unless it is a number from 0 to `RATE_LIMIT_PER_S`."""
    try:
        rate = float(given)
    except ValueError:
        return None
    return rate if 0 <= rate <= RATE_LIMIT_PER_S else None
