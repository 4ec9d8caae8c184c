"""Streams that ended before they were admitted: every one is counted (`osm.ads.tally`), few are logged.

Separate because whoever turns up at the port decides how often this happens; it must not decide how much is logged.
"""

import structlog

LOG_GAP_S = 5.0
"""Between two lines. The first of a storm says what is the matter, the next how many there were."""

log = structlog.get_logger()


class TurnedAway:
    """Those that were not told of yet. `now` is any monotonic clock's, in seconds."""

    def __init__(self) -> None:
        self._unsaid = 0
        self._said_at = float("-inf")

    def note(self, address: str, why: str, now: float) -> None:
        if now - self._said_at < LOG_GAP_S:
            self._unsaid += 1
            return
        log.warning("a stream was turned away", address=address, why=why, others_since_the_last_line=self._unsaid)
        self._unsaid, self._said_at = 0, now
