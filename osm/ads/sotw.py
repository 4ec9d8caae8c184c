"""The state-of-the-world variant: each request lists all names, and a response of a whole type lists all resources.

For clusters and listeners absence in a response means removal, so a response must hold what is to stay: also the last
good version of a resource that was rejected, and a cluster whose removal has to wait. The other types have no removal.
Rules from Envoy's xDS protocol, "Streaming gRPC subscriptions".
"""

from collections.abc import Iterable
from hashlib import blake2b

from osm.ads.interning import NO_NAMES, NO_VERSIONS, Few, grown, one_set, shrunk
from osm.ads.nack_culprit import culprits
from osm.ads.push import Issued, Push
from osm.ads.resource import VERSION_BYTES, Resource
from osm.ads.subscription import Acked, Answer, Rejected, Subscription, View
from osm.ads.types import LATE_REMOVAL, PUSH_ORDER, WHOLE_TYPES, WILDCARD
from osm.ads.wire import Request


class SotwSubscription(Subscription):
    """One type on one state-of-the-world stream."""

    __slots__ = ("_claimed_version", "_doubtful", "_ever_named", "_last_nonce", "_whole", "good")

    def __init__(self, type_url: str) -> None:
        super().__init__(type_url)
        self._whole = type_url in WHOLE_TYPES
        self._claimed_version = ""
        self._last_nonce = ""
        self._ever_named = False
        self._doubtful: Few = NO_NAMES  # sent in a rejected response: Envoy may have applied them all the same
        self.good: dict[str, Resource] = {}  # last accepted; kept for whole types only

    def receive(self, request: Request, revision: int) -> Answer | None:
        """A request with a stale or unknown nonce is ignored: the proxy will say it all again in a newer one."""
        if not self._started:
            self._start(request, revision)
            return None
        if request.nonce != self._last_nonce:
            return None
        answer = self._answer(request)
        self._ask(request, revision)
        self._settle()
        return answer

    def _start(self, request: Request, revision: int) -> None:
        self._started = True
        self._claimed_version = request.version
        self._ask(request, revision)
        self._owes_answer = self.wildcard or self.type_url not in PUSH_ORDER
        if self._owes_answer:
            self.touch_all(revision)

    def _ask(self, request: Request, revision: int) -> None:
        self._ever_named = self._ever_named or bool(request.names)
        wildcard = WILDCARD in request.names or (not self._ever_named and self._whole)
        names = one_set(name for name in request.names if name != WILDCARD)
        if wildcard == self.wildcard and names == self.names:
            return
        dropped = [] if wildcard else [name for name in self.held if name not in names]
        joined, added = wildcard and not self.wildcard, names - self.names
        self.wildcard, self.names = wildcard, names
        if dropped:
            self._forget(dropped)
        self.send_again(added, revision)
        if joined:
            self._owes_answer = True
            self.touch_all(revision)

    def _forget(self, names: Iterable[str]) -> None:
        gone = tuple(names)
        super()._forget(gone)
        for name in gone:
            self.good.pop(name, None)

    def draft(self, view: View, issued: Issued, after: int, *, may_remove: bool) -> Push | None:
        candidates = self._take_candidates(view, may_remove=may_remove)
        self._believe_claim(view)
        news = [name for name in sorted(candidates) if self._is_news(name, view, may_remove=may_remove)]
        self._again = shrunk(self._again, candidates)
        if not news and not self._owes_answer:
            self._settle()
            return None
        current = (view[name] for name in news)
        resources = self._complete(view, may_remove=may_remove) if self._whole else tuple(current)
        revision = self._since
        assert revision is not None, "whatever makes news marks its revision"
        version = fingerprint(resources)
        push = issued.push(self.type_url, resources=resources, version=version, revision=revision, after=after)
        self._last_nonce = push.nonce
        return self._send(push)

    def _believe_claim(self, view: View) -> None:
        """A proxy that comes back with the version of exactly this set holds it already."""
        claimed, self._claimed_version = self._claimed_version, ""
        if not claimed or not self._whole or self.names:
            return
        resources = self._complete(view, may_remove=True)
        if resources and fingerprint(resources) == claimed:
            self._hold_exactly(resources)
            self._owes_answer = False

    def _is_news(self, name: str, view: View, *, may_remove: bool) -> bool:
        resource = view.get(name)
        if name in self._late:
            self._late = shrunk(self._late, (name,))
        if not self.wants(name):
            self._forget((name,))
            return False
        if resource is not None:
            return self._must_send(resource)
        if not self._whole:
            if name in self.held:
                self._hold([(name, None)])  # no removal exists; should it come back, it is sent
            return False
        may_be_there = name in self.held or name in self._doubtful
        if may_be_there and self.type_url in LATE_REMOVAL and not may_remove:
            self._late = grown(self._late, (name,))
            return False
        return may_be_there

    def _complete(self, view: View, *, may_remove: bool) -> tuple[Resource, ...]:
        chosen = dict(view) if self.wildcard else {name: view[name] for name in self.names if name in view}
        for name, resource in list(chosen.items()):
            if self.rejected.get(name) == resource.version:
                del chosen[name]
                if name in self.good:
                    chosen[name] = self.good[name]
        if self.type_url in LATE_REMOVAL and not may_remove:
            chosen = self.good | chosen
        return tuple(chosen[name] for name in sorted(chosen))

    def _answer(self, request: Request) -> Answer | None:
        push = self.in_flight
        if push is None:
            return None
        self.in_flight = None
        if request.error is not None:
            return self._reject(push, request.error)
        if self._whole:
            self._hold_exactly(push.resources)
        else:
            self._hold((each.name, each.version) for each in push.resources if self.wants(each.name))
        return Acked(push=push)

    def _hold_exactly(self, resources: tuple[Resource, ...]) -> None:
        self.good = {resource.name: resource for resource in resources if self.wants(resource.name)}
        self.held = NO_VERSIONS
        self._hold((name, resource.version) for name, resource in self.good.items())
        self._doubtful = NO_NAMES

    def _reject(self, push: Push, detail: str) -> Rejected:
        """What the proxy holds already is beyond suspicion; if Envoy names nobody, all the rest is guilty."""
        suspects = {r.name: r for r in push.resources if self.held.get(r.name) != r.version}
        guilty = culprits(detail, suspects) or frozenset(suspects)
        self._accuse(suspects[name] for name in guilty)
        self._doubtful = grown(self._doubtful, suspects)
        self._again = grown(self._again, (name for name in suspects if name not in guilty))
        if self.has_news:
            self._mark(push.revision)
        return Rejected(push=push, guilty=tuple(suspects[name] for name in sorted(guilty)), detail=detail)


def fingerprint(resources: tuple[Resource, ...]) -> str:
    """One version for a set: equal sets of names and versions give equal ones on every replica."""
    digest = blake2b(digest_size=VERSION_BYTES)
    for resource in resources:
        digest.update(f"{resource.name}\0{resource.version}\0".encode())
    return digest.hexdigest()
