"""Whether the traffic of canaries speaks against what they were given: their share of 5xx beside that of the others.

Pure. It compares and does not measure: a class that answers 5xx to half of its requests everywhere has no reason to
stop a change. A class that is all canaries is compared with itself as it was before; one with others never is, for what
came over all of them meanwhile is not the change's fault.
"""

from msgspec import Struct


class Load(Struct, frozen=True):
    """Requests that have been answered, or that failed, and how many of them with 5xx or without any answer."""

    requests: int = 0
    errors: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(self.requests + other.requests, self.errors + other.errors)

    @property
    def share(self) -> float:
        return self.errors / self.requests if self.requests else 0.0


class Heard(Struct, frozen=True, kw_only=True):
    """The traffic during a trial, of so many `canaries` and so many `others`; and the canaries' `before` it."""

    canaries: int
    others: int
    of_canaries: Load
    of_others: Load = Load()
    before: Load = Load()


class Allowed(Struct, frozen=True, kw_only=True):
    """By what share (0 to 1) canaries may be worse, and the fewest requests that say something."""

    margin: float
    requests: int


def objection(heard: Heard, allowed: Allowed) -> str | None:
    """What speaks against the change, in a sentence; None as long as nothing does."""
    if heard.of_canaries.requests < allowed.requests:
        return None
    base = heard.of_others if heard.others else heard.before
    if base.requests < allowed.requests:
        return None
    if heard.of_canaries.share <= base.share + allowed.margin:
        return None
    beside = (
        f"the other {_proxies(heard.others, 'proxy', 'proxies')} of the class" if heard.others else "before the change"
    )
    return (
        f"{_proxies(heard.canaries, 'canary', 'canaries')} answered 5xx to {_percent(heard.of_canaries.share)} of "
        f"{heard.of_canaries.requests} requests, {beside} to {_percent(base.share)} of {base.requests}"
    )


def _proxies(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
