"""Timeouts and retries of a list-and-watch, and its log lines: each kind of failure once, until it is over."""

import random

import structlog
from msgspec import Struct

from osm.k8s.client import PAGE
from osm.k8s.errors import ApiError, Forbidden, Gone

log = structlog.get_logger()


class Pace(Struct, frozen=True, kw_only=True):
    """How long is waited for what, in seconds; tests hurry."""

    watch_s: float = 300.0
    """A watch's length: the API server's own choice is 30 to 60 minutes, too long to find out that it was lost."""
    idle_s: float = 150.0
    """Without an event or a bookmark, of which one comes every minute: then the connection is taken for dead."""
    reconcile_s: float = 600.0
    """Between lists that find what a watch has lost, plus or minus a fifth."""
    relist_s: float = 0.5
    """All followers are told 410 at once when a server restarts; each waits up to this long before it lists."""
    absent_s: float = 3.0
    """Between questions for a kind that is not there: somebody may be installing it."""
    denied_s: float = 30.0
    """Between questions for what we may not read, once it is clear that a person has to grant it. A server that has
    just started says no too, until it has read its roles: so the waits double up to this one."""
    first_retry_s: float = 0.1
    longest_retry_s: float = 10.0
    """Between attempts at a server that is away, doubled from the first."""
    page: int = PAGE
    """Objects an answer of a list."""


def jittered(seconds: float) -> float:
    """Give or take a fifth, so that what began together does not go on together."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311  # spreads load, hides nothing


class RetryPolicy:
    """Of one follower."""

    def __init__(self, kind: str, pace: Pace) -> None:
        self._kind = kind
        self._pace = pace
        self._retry_s = self._denied_s = pace.first_retry_s
        self.failures = 0
        self._told = ""

    def begun(self) -> None:
        """The server lets us watch. Whether the watch lasts is to be seen: the next failure waits no shorter for it."""
        self._denied_s = self._pace.first_retry_s
        self._over()

    def answered(self) -> None:
        """The server is there and has told something. We may list, then; whether we may watch is another matter."""
        self._retry_s, self.failures = self._pace.first_retry_s, 0
        self._over()

    def absent(self) -> None:
        """The server is there and has no such kind."""
        self._retry_s, self.failures = self._pace.first_retry_s, 0
        self._say("kind not there, taken for empty", "its CustomResourceDefinition is not installed")

    def after(self, error: ApiError) -> float:
        """How long to wait, in seconds. A broken connection is no news, unless the next one fails too."""
        if isinstance(error, Gone):
            return 0.0
        if isinstance(error, Forbidden):
            self._say("kind not readable, grant list and watch", str(error))
            wait_s = self._denied_s
            self._denied_s = min(wait_s * 2, self._pace.denied_s)
            return jittered(wait_s)
        self.failures += 1
        if self.failures > 1:
            self._say("API server away, what is known stands", str(error))
        wait_s = self._retry_s
        self._retry_s = min(wait_s * 2, self._pace.longest_retry_s)
        return jittered(wait_s)

    def _over(self) -> None:
        if self._told:
            log.info("kind followed again", kind=self._kind)
            self._told = ""

    def _say(self, event: str, why: str) -> None:
        if self._told != event:
            self._told = event
            log.warning(event, kind=self._kind, why=why)
