"""The delta variant: a proxy subscribes and unsubscribes by name, and is sent only what differs from what it holds.

Rules from Envoy's xDS protocol, "Incremental xDS" and "How the client specifies what resources to return".
"""

from collections.abc import Iterable

from osm.ads.interning import NO_NAMES, NO_VERSIONS, Few, grown, one_set, shrunk
from osm.ads.nack_culprit import culprits
from osm.ads.push import Issued, Push
from osm.ads.resource import Resource
from osm.ads.subscription import ABSENT, Acked, Answer, Rejected, Subscription, View
from osm.ads.types import LATE_REMOVAL, NEVER_REMOVED, PUSH_ORDER, WHOLE_TYPES, WILDCARD
from osm.ads.wire import Request


class DeltaSubscription(Subscription):
    """One type on one delta stream."""

    __slots__ = ("_again_everything", "_doubtful", "_trials")

    def __init__(self, type_url: str) -> None:
        super().__init__(type_url)
        self._again_everything = False
        self._doubtful: Few = NO_NAMES  # sent in a rejected push: Envoy may have applied them all the same
        self._trials: tuple[tuple[str, ...], ...] = ()  # parts of a rejected push, each to be tried alone

    @property
    def has_news(self) -> bool:
        return bool(self._changed or self._again or self._everything or self._owes_answer or self._trials)

    def receive(self, request: Request, revision: int) -> Answer | None:
        """Changes of subscription count even when the nonce is stale or unknown; an answer then does not."""
        answer = self._answer(request)
        if not self._started:
            self._start(request, revision)
        else:
            self._unsubscribe(request.unsubscribe, revision)
            self._subscribe(request.subscribe, revision)
        self._settle()
        return answer

    def _start(self, request: Request, revision: int) -> None:
        self._started = True
        self.names = one_set(name for name in request.subscribe if name != WILDCARD)
        asks_nothing = not request.subscribe and not request.unsubscribe
        self.wildcard = WILDCARD in request.subscribe or (asks_nothing and self.type_url in WHOLE_TYPES)
        self.held = NO_VERSIONS
        self._hold((name, held) for name, held in request.initial_versions.items() if held and self.wants(name))
        unknown_type = self.type_url not in PUSH_ORDER
        self._owes_answer = (self.wildcard or unknown_type) and not self.held
        if self.names or self.wildcard or unknown_type:
            self.touch_all(revision)

    def _subscribe(self, names: tuple[str, ...], revision: int) -> None:
        """What is asked for once more is sent once more: the proxy may have forgotten it."""
        if not names:
            return
        if WILDCARD in names:
            self._again_everything = self.wildcard
            self._owes_answer = True
            self.wildcard = True
            self.touch_all(revision)
        named = [name for name in names if name != WILDCARD]
        self.names = one_set(self.names.union(named))
        self.send_again(named, revision)

    def _unsubscribe(self, names: tuple[str, ...], revision: int) -> None:
        if not names:
            return
        left = self.names.intersection(names)
        self.names = one_set(self.names - left)
        if WILDCARD in names:
            self._leave_wildcard()
        if self.wildcard:  # the proxy cannot know whether the wildcard includes them: tell it
            self.send_again(left, revision)
        else:
            self._forget(left)

    def _leave_wildcard(self) -> None:
        self.wildcard = False
        self._forget([name for name in self.held.keys() | self._late if name not in self.names])

    def _forget(self, names: Iterable[str]) -> None:
        gone = tuple(names)
        super()._forget(gone)
        self._doubtful = shrunk(self._doubtful, gone)

    def draft(self, view: View, issued: Issued, after: int, *, may_remove: bool) -> Push | None:
        while True:
            trial, self._trials = (self._trials[0], self._trials[1:]) if self._trials else (None, ())
            names = self._names_to_check(view, trial, may_remove=may_remove)
            resources, removed = self._differences(view, names, may_remove=may_remove)
            self._again = shrunk(self._again, names)
            if resources or removed or (self._owes_answer and trial is None):
                revision = self._since
                assert revision is not None, "whatever makes news marks its revision"
                return self._send(
                    issued.push(
                        self.type_url,
                        resources=tuple(resources),
                        removed=tuple(removed),
                        revision=revision,
                        after=after,
                    )
                )
            if trial is None:
                self._settle()
                return None

    def _names_to_check(self, view: View, trial: tuple[str, ...] | None, *, may_remove: bool) -> set[str]:
        if trial is not None:
            return set(trial)
        if self._again_everything:
            self._again_everything = False
            self._again = grown(self._again, view.keys())
        return self._take_candidates(view, may_remove=may_remove)

    def _differences(self, view: View, names: set[str], *, may_remove: bool) -> tuple[list[Resource], list[str]]:
        resources: list[Resource] = []
        removed: list[str] = []
        late: list[str] = []
        unwanted: list[str] = []
        self._late = shrunk(self._late, names)
        for name in sorted(names):
            resource = view.get(name)
            if not self.wants(name):
                unwanted.append(name)
            elif resource is not None:
                if self._must_send(resource):
                    resources.append(resource)
            elif not self._must_remove(name):
                continue
            elif self._is_late(name) and not may_remove:
                late.append(name)
            else:
                removed.append(name)
        if late:
            self._late = grown(self._late, late)
        if unwanted:
            self._forget(unwanted)
        return resources, removed

    def _must_remove(self, name: str) -> bool:
        """A name asked for that does not exist is answered as removed, once; so is what the proxy may hold."""
        if self.type_url in NEVER_REMOVED:
            return False
        if name in self._again or self._may_hold(name):
            return True
        return name in self.names and name not in self.held

    def _is_late(self, name: str) -> bool:
        return self.type_url in LATE_REMOVAL and self._may_hold(name) and name not in self._again

    def _may_hold(self, name: str) -> bool:
        return bool(self.held.get(name)) or name in self._doubtful

    def abandon(self) -> None:
        """Stop waiting for the answer to the outstanding push; the next one says all of it again, as it is then."""
        push, self.in_flight = self.in_flight, None
        if push is not None:
            names = [resource.name for resource in push.resources]
            self._again = grown(self._again, names)
            self._doubtful = grown(self._doubtful, names)
            self._changed = grown(self._changed, push.removed)
            self._mark(push.revision)

    def _answer(self, request: Request) -> Answer | None:
        push = self.in_flight
        if push is None or request.nonce != push.nonce:
            return None
        self.in_flight = None
        if request.error is None:
            self._accept(push)
            return Acked(push=push)
        return self._reject(push, request.error)

    def _accept(self, push: Push) -> None:
        self._pardon(each.name for each in push.resources)
        if self._doubtful:
            self._doubtful = shrunk(self._doubtful, [resource.name for resource in push.resources])
        self._hold((each.name, each.version) for each in push.resources if self.wants(each.name))
        self._accept_removals(push)

    def _accept_removals(self, push: Push) -> None:
        if push.removed:
            self._doubtful = shrunk(self._doubtful, push.removed)
            self._hold((name, ABSENT if name in self.names else None) for name in push.removed)

    def _reject(self, push: Push, detail: str) -> Rejected:
        """Envoy applies the good part of what it rejects, but forgets that it did.

        So the innocent are sent again; when Envoy names nobody, the push is halved until one is left.
        """
        sent = {resource.name: resource for resource in push.resources}
        self._doubtful = grown(self._doubtful, sent)
        guilty = culprits(detail, sent) or (frozenset(sent) if len(sent) == 1 else frozenset())
        self._accuse(sent[name] for name in guilty)
        self._try_again([name for name in sorted(sent) if name not in guilty], halve=not guilty)
        if sent:
            self._changed = grown(self._changed, push.removed)
        else:  # nothing but removals, which cannot be wrong: sending them again would never end
            self._accept_removals(push)
        if self.has_news:
            self._mark(push.revision)
        return Rejected(push=push, guilty=tuple(sent[name] for name in sorted(guilty)), detail=detail)

    def _try_again(self, names: list[str], *, halve: bool) -> None:
        self._again = grown(self._again, names)
        if halve and names:
            middle = len(names) // 2
            self._trials = (tuple(names[:middle]), tuple(names[middle:]), *self._trials)
