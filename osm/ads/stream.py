"""One stream: its subscriptions, and the order among them.

What the types owe one another lives here and nowhere else: clusters go first, load assignments never wait for them,
listeners and routes do, removals come last, and a cluster drags its load assignment along.
Pure: `now` is an argument, in seconds of any monotonic clock.
"""

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from osm.ads.delta import DeltaSubscription
from osm.ads.push import Issued, Push
from osm.ads.sotw import SotwSubscription
from osm.ads.subscription import Answer, Subscription, View
from osm.ads.types import AFTER_CLUSTERS, CLUSTER, LATE_REMOVAL, push_rank
from osm.ads.wire import Request

GroupView: TypeAlias = Mapping[str, View]

WARMING_PATIENCE_S = 2.0
"""How long listeners and routes wait for clusters to be warm. Warming takes milliseconds; a cluster that cannot warm
(a secret that never comes) must not hold back the rest for ever."""

CLUSTER_SILENCE_S = 15.0
"""After how long an unanswered push of clusters is given up for a newer one, on a delta stream.
Seen with Envoy 1.40: a cluster refused late (a ring hash whose minimum exceeds its maximum) while another one warms
stays warming for ever, and holds back every answer about clusters until a newer version of it comes. Envoy's own
patience with a cluster that warms is 15 s."""

MAX_TYPES = 32
"""Types one stream may ask for. Envoy has about a dozen; the bound keeps a hostile client's memory small."""

MAX_NAMES = 50_000
"""Names one stream may subscribe to in all: ten times the largest mesh we measure with."""

MAX_NAME_CHARACTERS = 8 * 1024 * 1024
"""Of all names together: as many names as may be, of a usual length. A single one is not bounded: the name of a load
assignment lists all accounts of its service."""

MAX_TYPE_CHARACTERS = 256
"""Of a type URL. Envoy's have less than 100."""


class LimitExceeded(Exception):
    """A client asked for more types or names than a stream may have, or for longer ones."""


class Stream:
    """The protocol state of one stream. Without a view it listens but says nothing."""

    def __init__(self, variant: type[DeltaSubscription | SotwSubscription], issued: Issued | None = None) -> None:
        self._variant = variant
        self._issued = Issued() if issued is None else issued
        self._view: GroupView | None = None
        self._subscriptions: dict[str, Subscription] = {}
        self._unsettled: set[str] = set()  # types with something to say or to hear; all others need not be looked at
        self._companions_sent: set[tuple[str, str]] = set()
        self._last_number = 0
        self._waiting_since: float | None = None
        self._clusters_sent_at = 0.0

    @property
    def oldest_revision(self) -> int | None:
        """The oldest change not answered yet; None when up to date, or when there is nothing to be told."""
        oldest: int | None = None
        if self._view is not None:
            for type_url in self._unsettled:
                revision = self._subscriptions[type_url].oldest_revision
                if revision is not None and (oldest is None or revision < oldest):
                    oldest = revision
        return oldest

    @property
    def in_flight(self) -> tuple[str, ...]:
        """Types whose push has not been answered."""
        return tuple(url for url, subscription in self._subscriptions.items() if subscription.in_flight is not None)

    def held(self, type_url: str) -> Mapping[str, str]:
        """Versions the proxy has accepted, by name."""
        subscription = self._subscriptions.get(type_url)
        return {} if subscription is None else subscription.held

    @property
    def has_work(self) -> bool:
        """Whether `next_push` is worth a call."""
        if self._view is not None:
            for type_url in self._unsettled:
                if self._subscriptions[type_url].in_flight is None:
                    return True
        return False

    @property
    def is_waiting(self) -> bool:
        """Whether something waits for an answer about clusters; time alone may then make `next_push` say more."""
        return self._waiting_since is not None or self._stuck_clusters() is not None

    def move(self, view: GroupView | None, revision: int) -> None:
        """See another group's resources from now on, or none."""
        self._view = view
        self._unsettled.update(self._subscriptions)
        for subscription in self._subscriptions.values():
            subscription.touch_all(revision)

    def touch(self, type_url: str, names: Iterable[str], revision: int) -> bool:
        """These names changed in the group; False when that is nothing to this stream."""
        subscription = self._subscriptions.get(type_url)
        if subscription is None or not subscription.touch(names, revision):
            return False
        self._unsettled.add(type_url)
        return True

    def receive(self, request: Request, revision: int) -> Answer | None:
        """Take a request; raises `LimitExceeded`."""
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            subscription = self._add(request.type_url)
            answer = subscription.receive(request, revision)
            self._catch_up(subscription, revision)
        else:
            answer = subscription.receive(request, revision)
        self._note(subscription)
        if request.subscribe or request.names:
            self._check_names()
        return answer

    def _add(self, type_url: str) -> Subscription:
        if len(self._subscriptions) >= MAX_TYPES:
            raise LimitExceeded(f"the stream asks for more than {MAX_TYPES} resource types")
        if len(type_url) > MAX_TYPE_CHARACTERS:
            raise LimitExceeded(f"the resource type has {len(type_url)} characters, allowed are {MAX_TYPE_CHARACTERS}")
        self._subscriptions[type_url] = subscription = self._variant(type_url)
        self._subscriptions = dict(sorted(self._subscriptions.items(), key=lambda item: push_rank(item[0])))
        return subscription

    def _catch_up(self, subscription: Subscription, revision: int) -> None:
        """Companions fell due before the proxy asked for their type: on reconnect clusters are asked for first."""
        due = {companion for companion in self._companions_sent if companion[0] == subscription.type_url}
        if due:
            subscription.send_again((name for _, name in due), revision)
            self._companions_sent = self._companions_sent - due  # anew: a set that was large once stays so

    def _check_names(self) -> None:
        asked = [subscription.names for subscription in self._subscriptions.values()]
        if sum(map(len, asked)) > MAX_NAMES:
            raise LimitExceeded(f"the stream subscribes to more than {MAX_NAMES} names")
        if sum(sum(map(len, names)) for names in asked) > MAX_NAME_CHARACTERS:
            raise LimitExceeded(f"the names the stream subscribes to have more than {MAX_NAME_CHARACTERS} characters")

    def next_push(self, now: float) -> Push | None:
        """What to send now, if anything; it counts as sent."""
        if self._view is None:
            return None
        stuck = self._stuck_clusters()
        if stuck is not None and now - self._clusters_sent_at >= CLUSTER_SILENCE_S:
            stuck.abandon()
        push = self._next_news(self._view, now) or self._next_removal(self._view)
        if push is not None:
            self._last_number = push.number
            if push.type_url == CLUSTER:
                self._clusters_sent_at = now
            self._send_companions(push)
        return push

    def _next_news(self, view: GroupView, now: float) -> Push | None:
        somebody_waits = False
        for type_url in sorted(self._unsettled, key=push_rank):
            subscription = self._subscriptions[type_url]
            if subscription.in_flight is not None or not subscription.has_news:
                continue
            if type_url in AFTER_CLUSTERS and self._must_wait(now):
                somebody_waits = True
                continue
            push = subscription.draft(view.get(type_url, {}), self._issued, self._last_number, may_remove=False)
            self._note(subscription)
            if push is not None:
                return push
        if not somebody_waits:
            self._waiting_since = None
        return None

    def _stuck_clusters(self) -> DeltaSubscription | None:
        """The clusters of a delta stream, if they are busy and have more to say."""
        if CLUSTER not in self._unsettled:
            return None
        clusters = self._subscriptions.get(CLUSTER)
        if not isinstance(clusters, DeltaSubscription) or clusters.in_flight is None:
            return None
        return clusters if clusters.has_news or clusters.has_late_removals else None

    def _must_wait(self, now: float) -> bool:
        clusters = self._subscriptions.get(CLUSTER)
        if clusters is None or clusters.in_flight is None:
            self._waiting_since = None
            return False
        if self._waiting_since is None:
            self._waiting_since = now
        return now - self._waiting_since < WARMING_PATIENCE_S

    def _next_removal(self, view: GroupView) -> Push | None:
        for type_url in LATE_REMOVAL:
            if type_url not in self._unsettled or not self._subscriptions[type_url].has_late_removals:
                continue
            subscription = self._subscriptions[type_url]
            if not self._is_quiet():
                return None
            push = subscription.draft(view.get(type_url, {}), self._issued, self._last_number, may_remove=True)
            self._note(subscription)
            if push is not None:
                return push
        return None

    def _note(self, subscription: Subscription) -> None:
        """Remember whether there is anything to do about this type."""
        if subscription.oldest_revision is None:
            self._unsettled.discard(subscription.type_url)
        else:
            self._unsettled.add(subscription.type_url)

    def _is_quiet(self) -> bool:
        return not any(
            subscription.in_flight is not None or subscription.has_news for subscription in self._subscriptions.values()
        )

    def _send_companions(self, push: Push) -> None:
        for resource in push.resources:
            for type_url, name in resource.companions:
                subscription = self._subscriptions.get(type_url)
                if subscription is None:
                    self._companions_sent.add((type_url, name))
                else:
                    subscription.send_again((name,), push.revision)
                    self._note(subscription)
