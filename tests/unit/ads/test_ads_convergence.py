"""Whatever happens in whatever order, a proxy ends up with what its server has, and nothing is said needlessly.

A model of a proxy talks to the engine through random changes, subscriptions, answers in any order among types,
rejections with and without names, and reconnections.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine
from osm.ads.resource import Resource
from osm.ads.sotw import SotwSubscription
from osm.ads.stream import CLUSTER_SILENCE_S
from osm.ads.types import CLUSTER, ENDPOINT, ROUTE
from osm.ads.wire import Request

NAMES = ("a", "b", "c", "d")
NAMED_TYPES = (ENDPOINT, ROUTE)
TYPES = (CLUSTER, *NAMED_TYPES)
VERSIONS = ("1", "2", "bad1", "bad2")


def resource(type_url, name, version):
    companions = ((ENDPOINT, name),) if type_url == CLUSTER else ()
    return Resource(
        type_url=type_url,
        name=name,
        version=version,
        delta_head=b"",
        sotw_head=b"",
        body=b"",
        companions=companions,
    )


def is_bad(version):
    return version.startswith("bad")


class ProxyModel:
    """What a proxy knows: what it asked for, what it applied, and which versions it would report."""

    def __init__(self):
        self.asked = {type_url: set() for type_url in NAMED_TYPES}
        self.applied = {type_url: {} for type_url in TYPES}
        self.reported = {type_url: {} for type_url in TYPES}


class Conversation(RuleBasedStateMachine):
    variant: type

    def __init__(self):
        super().__init__()
        self.engine = Engine()
        self.revision = 0
        self.engine.replace("g", {}, revision=0)
        self.now = 0.0
        self.proxy = ProxyModel()

    @initialize()
    def connect(self):
        self.unanswered = []
        self.sent_at = {}
        self.last_nonce = dict.fromkeys(TYPES, "")
        self.may_repeat = set()  # (type, name) that may be sent though the proxy reported that version
        self.session = self.engine.open(self.variant, lambda: None)
        self.engine.move(self.session.id, "g")
        self.start()

    # Changes on the server

    @rule(
        changes=st.lists(
            st.tuples(st.sampled_from(TYPES), st.sampled_from(NAMES), st.sampled_from((*VERSIONS, None))),
            min_size=1,
            max_size=4,
        )
    )
    def change(self, changes):
        self.revision += 1
        for type_url, name, version in changes:
            if version is None:
                self.engine.remove("g", type_url, name, revision=self.revision)
            else:
                self.engine.put("g", resource(type_url, name, version), revision=self.revision)
        self.engine.advance(self.revision)

    @rule()
    def leave_the_group_and_come_back(self):
        self.engine.move(self.session.id, None)
        assert self.engine.next_push(self.session, self.now) is None
        self.engine.move(self.session.id, "g")

    # The wire

    @rule()
    def time_passes(self):
        self.now += 4.0

    @rule()
    def push(self):
        self.push_one()

    def push_one(self):
        push = self.engine.next_push(self.session, self.now)
        if push is None:
            return False
        for other in self.unanswered:
            if other.type_url == push.type_url:
                self.check_given_up(other)
        self.sent_at[push.type_url] = self.now
        self.check_push(push)
        for sent in push.resources:
            self.may_repeat.discard((push.type_url, sent.name))
            self.may_repeat.update(sent.companions)
        self.last_nonce[push.type_url] = push.nonce
        self.unanswered.append(push)
        return True

    @precondition(lambda self: self.unanswered)
    @rule(data=st.data(), names_culprit=st.booleans())
    def answer(self, data, names_culprit):
        type_url = data.draw(st.sampled_from([push.type_url for push in self.unanswered]))
        oldest = next(push for push in self.unanswered if push.type_url == type_url)
        self.unanswered.remove(oldest)
        self.answer_one(oldest, names_culprit=names_culprit)

    def check_given_up(self, push):
        """Two pushes of one type are outstanding only when clusters were given up for newer ones."""
        assert push.type_url == CLUSTER
        assert self.variant is DeltaSubscription
        assert self.now - self.sent_at[CLUSTER] >= CLUSTER_SILENCE_S
        self.may_repeat.update((CLUSTER, sent.name) for sent in push.resources)

    def answer_one(self, push, *, names_culprit):
        bad = [sent.name for sent in push.resources if is_bad(sent.version) and not self.is_in_use(sent)]
        self.apply(push, bad)
        error = None
        if bad:
            names_culprit = names_culprit or self.always_names(push.type_url)
            error = f"Error adding {bad[0]}: no" if names_culprit else "something is wrong"
            self.may_repeat.update((push.type_url, sent.name) for sent in push.resources)
        self.say(push.type_url, nonce=push.nonce, error=error)

    def is_in_use(self, _resource):
        return False

    def always_names(self, _type_url):
        return False

    @rule(type_url=st.sampled_from(NAMED_TYPES), name=st.sampled_from(NAMES))
    def subscribe(self, type_url, name):
        self.proxy.asked[type_url].add(name)
        self.may_repeat.add((type_url, name))
        self.say(type_url, subscribe=(name,), nonce=self.nonce_of_a_plain_request(type_url))

    @rule(type_url=st.sampled_from(NAMED_TYPES), name=st.sampled_from(NAMES))
    def unsubscribe(self, type_url, name):
        self.proxy.asked[type_url].discard(name)
        self.proxy.applied[type_url].pop(name, None)
        self.proxy.reported[type_url].pop(name, None)
        self.say(type_url, unsubscribe=(name,), nonce=self.nonce_of_a_plain_request(type_url))

    @rule(type_url=st.sampled_from(TYPES), error=st.sampled_from([None, "lies"]))
    def answer_something_never_sent(self, type_url, error):
        self.say(type_url, nonce="no such nonce", error=error)

    @rule()
    def reconnect(self):
        self.engine.close(self.session)
        for type_url in TYPES:  # what it applied without acknowledging it does not report, and may lose
            self.proxy.applied[type_url] = dict(self.proxy.reported[type_url])
        self.connect()

    # The claims

    @invariant()
    def the_watermark_is_never_ahead(self):
        assert self.engine.acked_revision() <= self.revision

    def teardown(self):
        if not hasattr(self, "session"):
            return
        for _ in range(500):
            self.now += 10.0
            pushed = self.push_one()
            if self.unanswered:
                self.answer_one(self.unanswered.pop(0), names_culprit=True)
            elif not pushed:
                break
        else:
            raise AssertionError("the conversation does not end")
        self.check_end()
        assert self.engine.acked_revision() == self.revision
        assert self.engine.behind() == ()

    def check_end(self):
        for type_url in TYPES:
            view = self.engine.resources("g").get(type_url, {})
            for name in NAMES:
                if not self.wants(type_url, name):
                    continue
                applied = self.proxy.applied[type_url].get(name)
                if name not in view:
                    assert applied is None or not self.removes(type_url), (type_url, name)
                elif not is_bad(view[name].version):
                    assert applied == view[name].version, (type_url, name)

    def wants(self, type_url, name):
        return type_url == CLUSTER or name in self.proxy.asked[type_url]


class DeltaConversation(Conversation):
    variant = DeltaSubscription

    def start(self):
        self.say(CLUSTER, initial=self.proxy.reported[CLUSTER])
        for type_url in NAMED_TYPES:
            if self.proxy.asked[type_url]:
                names = tuple(sorted(self.proxy.asked[type_url]))
                self.say(type_url, subscribe=names, initial=self.proxy.reported[type_url])

    def nonce_of_a_plain_request(self, _type_url):
        return ""

    def say(self, type_url, *, subscribe=(), unsubscribe=(), nonce="", error=None, initial=None):
        self.engine.receive(
            self.session,
            Request(
                type_url=type_url,
                subscribe=subscribe,
                unsubscribe=unsubscribe,
                nonce=nonce,
                error=error,
                initial_versions=initial or {},
            ),
        )

    def check_push(self, push):
        names = [sent.name for sent in push.resources]
        assert len({*names, *push.removed}) == len(names) + len(push.removed)
        for name in (*names, *push.removed):
            asked_lately = (push.type_url, name) in self.may_repeat
            assert self.wants(push.type_url, name) or asked_lately, "never asked for"
        for sent in push.resources:
            if self.proxy.reported[push.type_url].get(sent.name) == sent.version:
                assert (push.type_url, sent.name) in self.may_repeat, "sent what is held"

    def apply(self, push, bad):
        applied, reported = self.proxy.applied[push.type_url], self.proxy.reported[push.type_url]
        for sent in push.resources:
            if sent.name not in bad and self.wants(push.type_url, sent.name):
                applied[sent.name] = sent.version
                if not bad:
                    reported[sent.name] = sent.version
                else:
                    reported.pop(sent.name, None)
        for name in push.removed:
            applied.pop(name, None)
            reported.pop(name, None)

    def removes(self, _type_url):
        return True


class SotwConversation(Conversation):
    variant = SotwSubscription

    def start(self):
        self.say(CLUSTER)
        for type_url in NAMED_TYPES:
            if self.proxy.asked[type_url]:
                self.say(type_url)

    def nonce_of_a_plain_request(self, type_url):
        delivered = self.last_nonce[type_url]
        if any(push.nonce == delivered for push in self.unanswered):
            return "not the newest"  # the newest is on its way: this request will be said again with the answer
        return delivered

    def say(self, type_url, *, subscribe=(), unsubscribe=(), nonce="", error=None):
        names = () if type_url == CLUSTER else tuple(sorted(self.proxy.asked[type_url]))
        self.engine.receive(self.session, Request(type_url=type_url, names=names, nonce=nonce, error=error))

    def always_names(self, type_url):
        return type_url == CLUSTER  # as Envoy does

    def is_in_use(self, sent):
        return self.proxy.applied[sent.type_url].get(sent.name) == sent.version

    def check_push(self, push):
        names = [sent.name for sent in push.resources]
        assert len(set(names)) == len(names)

    def apply(self, push, bad):
        applied = self.proxy.applied[push.type_url]
        if push.type_url == CLUSTER:
            for name in applied.keys() - {sent.name for sent in push.resources}:
                del applied[name]
        for sent in push.resources:
            if sent.name not in bad and self.wants(push.type_url, sent.name):
                applied[sent.name] = sent.version

    def removes(self, type_url):
        return type_url == CLUSTER


CHECKED = settings(max_examples=150, stateful_step_count=40, deadline=None)

TestDeltaConversation = DeltaConversation.TestCase
TestDeltaConversation.settings = CHECKED
TestSotwConversation = SotwConversation.TestCase
TestSotwConversation.settings = CHECKED
