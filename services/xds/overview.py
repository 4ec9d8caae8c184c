"""What xds knows of its proxies, as status lines say it: how far they are, who lags, where a change stands.

It only reads: the fleet and the lanes decide. Separate from the reporter, which decides when a line goes out.
"""

from collections import Counter
from collections.abc import Collection

from osm.ads.engine import Engine
from osm.contracts.names import ObjectRef
from osm.contracts.quarantine import RejectedResource
from osm.contracts.status import ObjectStatus, ProxyStatus, RolloutStatus
from services.xds.lanes import Lanes
from services.xds.quarantine import Quarantine
from services.xds.roster import Roster
from services.xds.spread import rollout_status, words_on_objects
from services.xds.timeline import Timeline


class Overview:
    """The proxies of this replica, from above."""

    def __init__(
        self,
        *,
        replica: str,
        engine: Engine,
        roster: Roster,
        lanes: Lanes,
        quarantine: Quarantine,
        timeline: Timeline,
    ) -> None:
        self._replica = replica
        self._engine = engine
        self._roster = roster
        self._lanes = lanes
        self._quarantine = quarantine
        self._timeline = timeline

    @property
    def size(self) -> int:
        """Streams that are connected, held ones included."""
        return len(self._roster)

    def acked_revision(self) -> int:
        """The catalog revision that every connected proxy has answered in full."""
        return self._timeline.revision_of(self._engine.acked_revision())

    def behind(self, most: int) -> tuple[str, ...]:
        """Proxies that have not answered everything, the one that waits longest first, no more than `most`."""
        return self._roster.names([line.stream_id for line in self._engine.behind(most)])

    @property
    def is_behind(self) -> bool:
        """Whether any proxy has not answered everything."""
        return bool(self._engine.owing())

    def owing(self) -> dict[str, int]:
        """Proxies that have not answered everything, and the oldest batch they owe an answer for."""
        found: dict[str, int] = {}
        for stream_id, batch in self._engine.owing().items():
            for proxy_id in self._roster.names((stream_id,)):
                found[proxy_id] = min(batch, found.get(proxy_id, batch))
        return found

    def rollouts(self) -> tuple[RolloutStatus, ...]:
        """Changes that are not everywhere, sorted by identity."""
        lines = (
            rollout_status(
                proxy_class.identity,
                rollout,
                self._quarantine.standing_of(proxy_class),
                is_behind=self._engine.is_behind,
                proxy_of=lambda stream_id: self._roster[stream_id].proxy.id,
            )
            for proxy_class, rollout in self._lanes.rollouts().items()
        )
        return tuple(sorted((line for line in lines if line), key=lambda line: (line.identity, line.state)))

    def states(self, slow: Collection[str]) -> Counter[str]:
        """How many proxies are in each state; of those that owe an answer, only the `slow` count as waiting."""
        return Counter(member.state(is_behind=proxy_id in slow) for proxy_id, member in self._roster.proxies())

    def quarantined(self) -> tuple[RejectedResource, ...]:
        """What was rejected and is still wanted here, sorted."""
        return self._quarantine.standing()

    def words_on_objects(self) -> dict[ObjectRef, ObjectStatus]:
        """What is to be said of users' objects, by object."""
        return words_on_objects(self._quarantine.standing())

    def status_of(self, proxy_id: str) -> ProxyStatus | None:
        """The line of one proxy, its newest stream; None if it is not connected."""
        member = self._roster.newest(proxy_id)
        if member is None:
            return None
        is_behind = any(map(self._engine.is_behind, self._roster.streams_of(proxy_id)))
        return member.status(self._replica, is_behind=is_behind)
