"""What one stream knows about one type: the rules that both protocol variants share.

A pure state machine: requests, changes and answers go in, pushes come out; it reads no clock and no socket.
`delta` and `sotw` say how a request changes the subscription and what a push holds.
A subscription never sends by itself and never has more than one push outstanding; while one is, newer state replaces
older, since only names are remembered and resources are looked up when the next push is drafted.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec

from osm.ads.interning import NO_NAMES, NO_VERSIONS, Changes, Few, Versions, grown, shrunk
from osm.ads.push import Issued, Push
from osm.ads.resource import Resource
from osm.ads.wire import Request

View: TypeAlias = Mapping[str, Resource]

ABSENT = ""
"""Held "version" of a name the proxy has been told does not exist; real versions are never empty."""


class Acked(msgspec.Struct, frozen=True, kw_only=True):
    """The proxy took the push."""

    push: Push


class Rejected(msgspec.Struct, frozen=True, kw_only=True):
    """The proxy refused the push. `guilty` are the resources that will not be sent to it again until they change.

    `guilty` is empty while the culprit is still being searched for.
    """

    push: Push
    guilty: tuple[Resource, ...]
    detail: str


Answer: TypeAlias = Acked | Rejected


class Subscription(ABC):
    """State of one type on one stream. `revision` arguments are the engine's number of a change."""

    __slots__ = (
        "_again",
        "_changed",
        "_everything",
        "_late",
        "_owes_answer",
        "_since",
        "_started",
        "held",
        "in_flight",
        "names",
        "rejected",
        "type_url",
        "wildcard",
    )

    def __init__(self, type_url: str) -> None:
        self.type_url = type_url
        self.wildcard = False
        self.names = NO_NAMES
        self.held: Versions = NO_VERSIONS
        self.rejected: Versions = NO_VERSIONS
        self.in_flight: Push | None = None
        self._changed: Few = NO_NAMES
        self._again: Few = NO_NAMES  # sent whatever the proxy holds
        self._late: Few = NO_NAMES  # removals that wait until the stream is quiet
        self._everything = False
        self._owes_answer = False
        self._started = False
        self._since: int | None = None

    @abstractmethod
    def receive(self, request: Request, revision: int) -> Answer | None:
        """Take a request; the answer to the outstanding push that it carried, if it did."""

    @abstractmethod
    def draft(self, view: View, issued: Issued, after: int, *, may_remove: bool) -> Push | None:
        """The next push, now in flight, or None when there is nothing to say; must not be called while busy.

        `after`: the number of the last push that the stream was sent.
        """

    @property
    def has_news(self) -> bool:
        """Whether something other than a late removal may have to be sent."""
        return bool(self._changed or self._again or self._everything or self._owes_answer)

    @property
    def has_late_removals(self) -> bool:
        return bool(self._late)

    @property
    def oldest_revision(self) -> int | None:
        """The oldest change that the proxy has not answered; None when it is up to date."""
        push = self.in_flight
        if push is None or (self._since is not None and self._since < push.revision):
            return self._since
        return push.revision

    def wants(self, name: str) -> bool:
        return self.wildcard or name in self.names

    def touch(self, names: Iterable[str], revision: int) -> bool:
        """These names changed; False when the proxy did not ask for any of them."""
        touched = names if self.wildcard else self.names.intersection(names)
        if not touched:
            return False
        self._pardon(touched)  # they are others now; a version that comes back later is tried once more
        self._changed = grown(self._changed, touched)
        self._mark(revision)
        return True

    def touch_all(self, revision: int) -> None:
        """Anything may have changed: the stream has moved to another group."""
        self._everything = True
        self._mark(revision)

    def send_again(self, names: Iterable[str], revision: int) -> None:
        """Send these names even if the proxy holds them; without effect for names it did not ask for."""
        wanted = [name for name in names if self.wants(name)]
        if wanted:
            self._again = grown(self._again, wanted)
            self._mark(revision)

    def _mark(self, revision: int) -> None:
        if self._since is None or revision < self._since:
            self._since = revision

    def _take_candidates(self, view: View, *, may_remove: bool) -> set[str]:
        """The names to look at for this push; they are no longer news after it."""
        candidates = {*self._changed, *self._again}
        if may_remove:
            candidates |= self._late
        if self._everything:
            candidates |= self.names | self.held.keys()
            if self.wildcard:
                candidates |= view.keys()
        self._changed = NO_NAMES
        self._everything = False
        return candidates

    def _send(self, push: Push) -> Push:
        self.in_flight = push
        self._owes_answer = False
        self._settle()
        return push

    def _settle(self) -> None:
        """Nothing is due any more, except what is still remembered."""
        if not self.has_news and not self._late:
            self._since = None

    def _must_send(self, resource: Resource) -> bool:
        name, version = resource.name, resource.version
        if self.rejected.get(name) == version:
            return False
        return name in self._again or self.held.get(name) != version

    def _forget(self, names: Iterable[str]) -> None:
        gone = tuple(names)
        self._hold((name, None) for name in gone)
        self._pardon(gone)
        self._again = shrunk(self._again, gone)
        self._late = shrunk(self._late, gone)

    def _hold(self, changes: Iterable[tuple[str, str | None]]) -> None:
        """The proxy holds these versions now, and nothing of a name whose version is None."""
        made: Changes = tuple(changes)
        if made:
            self.held = self.held.but(made)

    def _pardon(self, names: Iterable[str]) -> None:
        """What was rejected of these names may be sent again."""
        if self.rejected:
            changes: Changes = tuple((name, None) for name in names if name in self.rejected)
            if changes:
                self.rejected = self.rejected.but(changes)

    def _accuse(self, resources: Iterable[Resource]) -> None:
        guilty = tuple(resources)
        if guilty:
            self.rejected = self.rejected.but(tuple((each.name, each.version) for each in guilty))
            self._again = shrunk(self._again, (each.name for each in guilty))
