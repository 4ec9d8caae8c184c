"""Trials of changes by traffic: for how long, and what in the traffic of its canaries speaks against a change.

Separate from the lanes, which do the same without it: it is off unless an operator asks for it.
"""

from collections.abc import Callable

from msgspec import Struct

from osm.ads.resource import Resource
from osm.ads.rollout import Rollout
from osm.ads.trial import Trial
from services.xds.judgement import Allowed, Heard, objection
from services.xds.traffic import Traffic


class Probation(Struct, frozen=True, kw_only=True):
    """`watch_s`: for how long canaries that have accepted a change carry traffic with it before all others get it.

    `objected` is told of what has been stopped, and why.
    """

    watch_s: float
    allowed: Allowed
    traffic: Traffic
    objected: Callable[[tuple[Resource, ...], str], None]

    def trial(self) -> Trial:
        """For one class."""
        return Trial(self.watch_s, self.traffic)

    def objection(self, rollout: Rollout) -> str | None:
        """What speaks against what the canaries of a class have on trial; None if nothing does, or nothing is."""
        if not rollout.on_trial():
            return None
        canaries = rollout.group.canaries
        others = set(rollout.group.members).difference(canaries)
        heard = Heard(
            canaries=len(canaries),
            others=len(others),
            of_canaries=self.traffic.since(canaries),
            of_others=self.traffic.since(others),
            before=self.traffic.before(canaries),
        )
        return objection(heard, self.allowed)
