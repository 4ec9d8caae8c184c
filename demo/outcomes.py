"""What became of requests, and what many of them add up to.

Pure, and separate from `burst` and `shopper` because both count the same way: a status, an identity or
an error per request, never an average.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

QUIET_S = 1.0  # two versions that answer differently would otherwise fill the log

_SHOWN_FAILURES = 5  # enough to see a pattern, short enough to read


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one request: a status and who answered, or why there was no answer."""

    seconds: float
    status: int | None = None
    identity: str = ""
    error: str = ""
    excerpt: str = ""

    @property
    def succeeded(self) -> bool:
        """True for an answer of class 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def words(self) -> str:
        """The status or the error, for people."""
        return self.error or f"status {self.status}"


class News:
    """Tells which outcomes are worth a line in the log: changes, but not each one of a store that wavers."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, float]] = {}

    def is_news(self, path: str, words: str, now: float) -> bool:
        """Return whether `words` differ from the last news of `path`, at least `QUIET_S` ago; note it if so."""
        last, when = self._last.get(path, ("", now - QUIET_S))
        if words == last or now - when < QUIET_S:
            return False
        self._last[path] = (words, now)
        return True


@dataclass
class Tally:
    """Counts of outcomes."""

    statuses: Counter[str] = field(default_factory=Counter)
    identities: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one outcome: under its error, or under its status and identity."""
        if outcome.status is None:
            self.errors[outcome.error] += 1
            return
        self.statuses[str(outcome.status)] += 1
        if outcome.identity:
            self.identities[outcome.identity] += 1

    def as_document(self) -> dict[str, dict[str, int]]:
        """Return the counts, sorted by key."""
        return {
            "statuses": dict(sorted(self.statuses.items())),
            "identities": dict(sorted(self.identities.items())),
            "errors": dict(sorted(self.errors.items())),
        }


def summarise(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """Return what a burst amounts to; latencies in milliseconds, of answered requests alone."""
    tally = Tally()
    for outcome in outcomes:
        tally.add(outcome)
    latencies = sorted(outcome.seconds for outcome in outcomes if outcome.status is not None)
    failed = [(number, outcome) for number, outcome in enumerate(outcomes) if not outcome.succeeded]
    return {
        "requests": len(outcomes),
        **tally.as_document(),
        "latency_ms": {"p50": _percentile_ms(latencies, 50), "p99": _percentile_ms(latencies, 99)},
        "first_failures": [_failure(number, outcome) for number, outcome in failed[:_SHOWN_FAILURES]],
    }


def _failure(number: int, outcome: Outcome) -> dict[str, object]:
    if outcome.status is None:
        return {"request": number, "error": outcome.error}
    return {"request": number, "status": outcome.status, "body": outcome.excerpt}


def _percentile_ms(ascending: Sequence[float], percent: int) -> float | None:
    """Return the nearest-rank percentile, or None of nothing."""
    if not ascending:
        return None
    return round(ascending[math.ceil(len(ascending) * percent / 100) - 1] * 1000, 3)
