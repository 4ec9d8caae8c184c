"""How a change spreads through a group of proxies: to a few canaries first; after their ACKs, to all.

A group has two lanes. The canary lane is offered the newest resources, except those that a proxy has rejected; the
rest is offered what is proven: each resource goes on as soon as every canary holds it. Whatever is held back is
replaced by the last good resource of that name (`last_good`). A small group is all canaries, and waits for nothing.

A group of which nothing is proven yet (its first proxy has just come, or the server has) has nothing better to offer.
Its rest is held, and keeps what it has, until the canaries have answered; but not for longer than `silence_s`, and
not past the next change, which may take something back.

Access that is taken back does not wait in any lane: `Verdicts.older` never returns a form that grants more than the
newest does, and is asked anew with every change (see `services.xds.fallback`).

Pure: `now` is in seconds of any monotonic clock; `revision` is the engine's. It refuses to know what a resource says.
Where canaries are also told by their traffic, what they hold is put on `trial` before it counts as proven; whether
that traffic speaks against it is for the owner, who rejects it then.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol

from osm.ads.canaries import Group, Terms
from osm.ads.last_good import Table, blend, flat, nested
from osm.ads.references import Key, needs, routes_of
from osm.ads.resource import Resource
from osm.ads.trial import Trial
from osm.ads.types import LISTENER

Held = Callable[[int, str], Mapping[str, str]]
"""A member and a type URL → the versions it has accepted, by name."""


class Verdicts(Protocol):
    """What the owner knows of resources beyond this group."""

    def is_rejected(self, resource: Resource) -> bool:
        """Whether a proxy has rejected this version, here or elsewhere."""

    def older(self, good: Resource, newest: Resource | None) -> Resource | None:
        """What may stand in for `newest` (None: it is gone), made of the last good one; None if nothing may."""


class Rollout:
    """What each lane of one group is offered. Who is in which lane is known to `group`.

    After each call that returns True the lanes (`canary`, `rest`, `group.canaries`) may differ from before.
    """

    def __init__(
        self, terms: Terms, verdicts: Verdicts, good: Iterable[Resource] = (), trial: Trial | None = None
    ) -> None:
        self._terms = terms
        self.group = Group(terms)
        self._trial = trial
        self._verdicts = verdicts
        self._newest: Table = {}
        self._good: Table = nested({(one.type_url, one.name): one for one in good})
        self._stage: Literal["held", "open", "proven"] = "held"
        self._offered_at = 0.0
        self.pending: dict[Key, int] = {}
        """What the canaries have yet to prove, and since which revision."""
        self.canary: Table = {}
        self._rest: Table | None = None  # made when it is asked for: most groups have no rest

    @property
    def is_stalled(self) -> bool:
        """Whether the canaries are silent and no other is tried."""
        return bool(self.pending) and self.group.is_silent

    @property
    def is_held(self) -> bool:
        """Whether the rest is offered nothing yet."""
        return self._stage == "held"

    @property
    def rest(self) -> Table:
        """What is offered to those who are no canaries."""
        if self._stage == "open" or not self.pending:
            return self.canary
        if self._rest is None:
            self._rest = self._mixed(self.is_proven)
        return self._rest

    def offer(self, newest: Table, *, revision: int, now: float) -> None:
        """Make `newest` the newest; what of it is not proven is pending since `revision`.

        Who has been asked for something that is still pending gets no more time for what comes beside it.
        """
        if self._newest and self._stage == "held":
            self._stage = "open"
        asked = {(key, self._newest[key[0]][key[1]].version) for key in self.pending}
        self._newest = newest
        self._look_anew(revision)
        if asked.isdisjoint((key, newest[key[0]][key[1]].version) for key in self.pending):
            self._offered_at = now
            self.group.begin(now)

    def reconsider(self, *, revision: int) -> None:
        """A resource of this group has been rejected, or a rejection lifted."""
        self._look_anew(revision)

    def settle(self, held: Held, now: float = 0.0) -> bool:
        """Take what every canary holds, and has carried traffic with if there is a trial, for proven.

        True if that was news.
        """
        if not self.group.canaries:
            return False
        views: dict[str, list[Mapping[str, str]]] = {}
        proven: list[Resource] = []
        for type_url, name in self.pending:
            if type_url not in views:
                views[type_url] = [held(member, type_url) for member in self.group.canaries]
            resource = self._newest[type_url][name]
            if all(view.get(name) == resource.version for view in views[type_url]):
                proven.append(resource)
        if self._trial is not None:
            proven = self._tried(self._trial, proven, now)
        self._only_whole(proven)
        self._prove(proven)
        return bool(proven)

    def tick(self, held: Held, now: float) -> bool:
        """Replace canaries that have been silent for too long; True if lanes have changed."""
        if not self.pending:
            return False
        for canary in self.group.canaries:
            if not self._owes(canary, held):
                self.group.answered(canary, now)
        if self._stage == "held" and now - self._offered_at >= self._terms.silence_s:
            self._stage = "open"
            return True
        if not self.group.others or self.group.is_silent:
            return False
        return self.group.replace_silent(self._offered_at, now)

    # What is said about it

    def on_trial(self) -> tuple[Resource, ...]:
        """What all canaries hold of what is pending, and have yet to carry traffic with; sorted."""
        keys = self.pending.keys() & self._trial.keys if self._trial is not None else ()
        return tuple(self._newest[type_url][name] for type_url, name in sorted(keys))

    def suspects(self) -> tuple[Resource, ...]:
        """Those of them that can have changed how traffic fares: what had no form before serves through what had."""
        on_trial = self.on_trial()
        return tuple(each for each in on_trial if self._has_good((each.type_url, each.name))) or on_trial

    def is_proven(self, resource: Resource) -> bool:
        good = self.good(resource.type_url, resource.name)
        return good is not None and good.version == resource.version

    def good(self, type_url: str, name: str) -> Resource | None:
        """The last good resource of this name."""
        return self._good.get(type_url, {}).get(name)

    def wants(self, type_url: str, name: str) -> Resource | None:
        """The newest of this name, whether it is offered or not."""
        return self._newest.get(type_url, {}).get(name)

    def knows(self, key: Key) -> bool:
        """Whether a resource of this name is offered here, or ought to be."""
        return self.wants(*key) is not None or key[1] in self._offered(key[0])

    def fallbacks(self) -> tuple[Resource, ...]:
        """The last good resources that stand in for newest ones, a rejection being in the way."""
        return tuple(
            good
            for (type_url, name), good in sorted(flat(self._good).items())
            if not self._is_newest(good) and name in self._offered(type_url)
        )

    # Inside

    def _tried(self, trial: Trial, accepted: list[Resource], now: float) -> list[Resource]:
        """What needs no trial, and what has passed it.

        A group's first configuration has nothing to go back to, and what only takes back is with the rest already.
        """
        tried = [each for each in accepted if trial.has(each) or self._needs_trial(each)]
        passed = {id(each) for each in trial.passed(tried, self.group.canaries, self.group.members, now)}
        waits = {id(each) for each in tried} - passed
        return [each for each in accepted if id(each) not in waits]

    def _needs_trial(self, resource: Resource) -> bool:
        if self._stage != "proven":
            return False
        good = self.good(resource.type_url, resource.name)
        form = None if good is None else self._verdicts.older(good, resource)
        return form is None or form.version != resource.version

    def _owes(self, canary: int, held: Held) -> bool:
        """Whether it has not accepted all that is pending. Who has is not silent, though it says no more."""
        return any(
            held(canary, type_url).get(name) != self._newest[type_url][name].version for type_url, name in self.pending
        )

    def _only_whole(self, proven: list[Resource]) -> None:
        """What is proven before a resource it needs is of no use yet, and must not take the last good one's place."""
        while proven:
            ready = {(each.type_url, each.name) for each in proven}
            missing = {key for key in self.pending if key not in ready and not self._has_good(key)}
            waits = [each for each in proven if missing and not missing.isdisjoint(needs(each))]
            if not waits:
                return
            for each in waits:
                proven.remove(each)

    def _has_good(self, key: Key) -> bool:
        return key[1] in self._good.get(key[0], {})

    def _prove(self, resources: Iterable[Resource]) -> None:
        fresh: dict[str, dict[str, Resource]] = {}
        for resource in resources:
            del self.pending[resource.type_url, resource.name]
            fresh.setdefault(resource.type_url, {})[resource.name] = resource
        if fresh:
            merged = {url: {**self._good.get(url, {}), **of_type} for url, of_type in fresh.items()}
            self._good = {**self._good, **merged}
            self._finish()

    def _look_anew(self, revision: int) -> None:
        verdicts = self._verdicts
        self.canary = self._mixed(lambda resource: not verdicts.is_rejected(resource) or self.is_proven(resource))
        unasked = self._unasked()
        before, self.pending = self.pending, {}
        for type_url, of_type in self._newest.items():
            offered = self.canary.get(type_url, {})
            for name, resource in of_type.items():
                if self.is_proven(resource) or (type_url, name) in unasked:
                    continue
                if name in offered and offered[name].version == resource.version:
                    self.pending[type_url, name] = before.get((type_url, name), revision)
        self._finish()

    def _unasked(self) -> frozenset[Key]:
        """The routes of listeners that are held back: no proxy asks for them, so none would ever hold them."""
        if self.canary is self._newest:
            return frozenset()
        wanted = routes_of(self._newest.get(LISTENER, {}).values())
        return wanted - routes_of(self._offered(LISTENER).values())

    def _finish(self) -> None:
        """What follows once it is known what is pending. With nothing pending, what the canaries have is good."""
        if not self.pending:
            self._stage = "proven"
            self.group.finish()
            self._good = self._newest if self.canary is self._newest else self._worth_keeping()
        self._rest = None

    def _mixed(self, usable: Callable[[Resource], bool]) -> Table:
        if all(usable(resource) for of_type in self._newest.values() for resource in of_type.values()):
            return self._newest
        verdicts = self._verdicts
        return nested(blend(flat(self._newest), flat(self._good), usable, verdicts.older, verdicts.is_rejected))

    def _worth_keeping(self) -> Table:
        """What is good of the newest names, and what older forms need."""
        good = flat(self._good)
        return nested({key: each for key, each in good.items() if self.wants(*key) or key[1] in self._offered(key[0])})

    def _offered(self, type_url: str) -> Mapping[str, Resource]:
        return self.canary.get(type_url, {})

    def _is_newest(self, resource: Resource) -> bool:
        newest = self.wants(resource.type_url, resource.name)
        return newest is not None and newest.version == resource.version
