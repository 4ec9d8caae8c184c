"""What the canaries of a group have accepted and have yet to carry traffic with, before it goes to all.

Pure; `now` is in seconds of any monotonic clock. It knows only the time: whether the traffic speaks against what is
on trial is for its owner, who then rejects it.
A trial begins anew when something joins it or is taken from it, so that its traffic is that of all of it; but nothing
waits for more than `LONGEST` times the trial's time, else a mesh that always changes would never change anywhere but on
its canaries.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from osm.ads.references import Key
from osm.ads.resource import Resource

LONGEST = 3
"""How many times the time of a trial a resource waits at most, while others join it."""


class Carried(Protocol):
    """Who counts the traffic of members."""

    def __contains__(self, member: int, /) -> bool:
        """Whether this member's traffic is known."""

    def begin(self, members: Iterable[int], *, keeps_reference: bool) -> None:
        """Count from now on. `keeps_reference`: a trial begins anew, so what was before is no longer as it was."""


class Trial:
    """One group's. `watch_s`: how long canaries carry traffic with what they have accepted."""

    def __init__(self, watch_s: float, carried: Carried) -> None:
        self._watch_s = watch_s
        self._carried = carried
        self._since: dict[Key, tuple[str, float]] = {}
        self._began = 0.0

    @property
    def keys(self) -> frozenset[Key]:
        """What is on trial."""
        return frozenset(self._since)

    def has(self, resource: Resource) -> bool:
        """Whether this version is on trial."""
        known = self._since.get((resource.type_url, resource.name))
        return known is not None and known[0] == resource.version

    def passed(
        self, accepted: Sequence[Resource], canaries: Iterable[int], members: Iterable[int], now: float
    ) -> Sequence[Resource]:
        """Put what the canaries have accepted on trial; what of it has been there for long enough.

        All of it at once, if nothing is known of the canaries' traffic.
        """
        before, self._since = self._since, {}
        if not any(each in self._carried for each in canaries):
            return accepted
        for each in accepted:
            key = each.type_url, each.name
            known = before.get(key)
            self._since[key] = known if known is not None and known[0] == each.version else (each.version, now)
        stays = before.items() & self._since.items()
        taken = [key for key in before.keys() - self._since.keys() if not self._is_over(before[key][1], now)]
        if taken or len(stays) < len(self._since):
            self._began = now
            self._carried.begin(members, keeps_reference=bool(stays))
        return [each for each in accepted if self._is_over(self._since[each.type_url, each.name][1], now)]

    def _is_over(self, since: float, now: float) -> bool:
        return now - self._began >= self._watch_s or now - since >= LONGEST * self._watch_s
