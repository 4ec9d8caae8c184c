"""A group of proxies, and which of them are tried first.

The canaries stand: they are the oldest members, and stay so from change to change. One that has said nothing for
`silence_s` is replaced by a member that was not tried yet. After `MOST_SILENT` of them the change is the suspect and
not the proxies: it stays where it is until one answers, or something newer takes its place.

Pure: `now` is in seconds of any monotonic clock. It refuses to know what they are asked; that is for `rollout`.
"""

import math

from msgspec import Struct

MOST_SILENT = 3
"""Canaries replaced for one change. One or two may be about to die; a fourth would be one too many to lose."""


class Terms(Struct, frozen=True, kw_only=True):
    """How many canaries: `count` or `share` of the group (0 to 1), whichever is more; `silence_s` as above."""

    count: int = 1
    share: float = 0.01
    silence_s: float = 5.0

    def canaries(self, members: int) -> int:
        return min(members, max(self.count, math.ceil(self.share * members), 1))


class Group:
    """The members, by the id of their streams."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._members: dict[int, float] = {}  # in the order they came → when it last said something
        self._chosen: dict[int, None] = {}
        self._silent: set[int] = set()
        self._replaced = 0  # for the change that is tried; those included that have left since

    @property
    def members(self) -> tuple[int, ...]:
        """In the order in which they came."""
        return tuple(self._members)

    @property
    def size(self) -> int:
        return len(self._members)

    @property
    def canaries(self) -> tuple[int, ...]:
        return tuple(self._chosen)

    @property
    def others(self) -> int:
        """How many are no canaries."""
        return len(self._members) - len(self._chosen)

    @property
    def is_silent(self) -> bool:
        """Whether so many canaries have said nothing that no other is tried."""
        return self._replaced >= MOST_SILENT

    def is_next_canary(self) -> bool:
        """Whether the next who joins becomes a canary."""
        return len(self._chosen) < self._terms.canaries(len(self._members) + 1)

    def join(self, member: int, now: float) -> None:
        """A newcomer fills a free place among the canaries, if there is one."""
        is_canary = self.is_next_canary()
        self._members[member] = now
        if is_canary:
            self._chosen[member] = None

    def leave(self, member: int, now: float) -> None:
        """The oldest member that was not tried yet takes a canary's place; if there is none, any."""
        self._members.pop(member, None)
        self._silent.discard(member)
        self._chosen.pop(member, None)
        if self._lacking() and not self._fill(now, self._untried()):
            self._fill(now, list(self._members))

    def answered(self, member: int, now: float) -> None:
        """A member has accepted or rejected something, or has nothing to say."""
        if member in self._members:
            self._members[member] = now

    def begin(self, now: float) -> None:
        """Something new is to be tried: who was silent about something else may be asked again."""
        self.finish()
        self._fill(now, self._untried())

    def finish(self) -> None:
        """Nothing is tried any more."""
        self._silent.clear()
        self._replaced = 0

    def replace_silent(self, since: float, now: float) -> bool:
        """Replace canaries that were asked at `since` and have been silent for too long; True if any was replaced."""
        silent = [each for each in self._chosen if now - max(self._members[each], since) >= self._terms.silence_s]
        replaced = False
        for member in silent[: MOST_SILENT - self._replaced]:
            self._replaced += 1
            self._silent.add(member)
            del self._chosen[member]
            if self._fill(now, self._untried()) or not self._lacking():
                replaced = True
            else:
                self._chosen[member] = None  # nobody is left to take its place
        return replaced

    def _untried(self) -> list[int]:
        return [member for member in self._members if member not in self._silent]

    def _lacking(self) -> int:
        """How many canaries fewer there are than there should be."""
        return max(self._terms.canaries(len(self._members)) - len(self._chosen), 0)

    def _fill(self, now: float, among: list[int]) -> bool:
        """Choose canaries up to the number the group should have; True if any was chosen."""
        fresh = [member for member in among if member not in self._chosen][: self._lacking()]
        for member in fresh:
            self._chosen[member] = None
            self._members[member] = now
        return bool(fresh)
