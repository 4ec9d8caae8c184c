"""One stream's pure machine and the resources it sees, with the proxy's part played in few words: both variants."""

from envoy.config.cluster.v3 import cluster_pb2

from osm.ads.delta import DeltaSubscription
from osm.ads.resource import Resource
from osm.ads.sotw import SotwSubscription
from osm.ads.stream import Stream
from osm.ads.wire import Request


def resource(type_url, name, version="1", companions=()):
    made = Resource.of(name, cluster_pb2.Cluster(name=name), version=version, companions=companions)
    return Resource(**{f: getattr(made, f) for f in made.__struct_fields__} | {"type_url": type_url})


def told(push):
    """What a push says: versions by name, and "-" for a removal."""
    return {r.name: r.version for r in push.resources} | dict.fromkeys(push.removed, "-")


class Talk:
    """What both variants have in common; each asks and answers in its own way."""

    def __init__(self, variant):
        self.view = {}
        self.stream = Stream(variant)
        self.now = 0.0
        self.stream.move(self.view, 0)

    def have(self, type_url, **versions):
        """Set these names to these versions; None removes."""
        for name, version in versions.items():
            if version is None:
                self.view[type_url].pop(name)
            else:
                self.view.setdefault(type_url, {})[name] = resource(type_url, name, version)
            self.stream.touch(type_url, (name,), 1)

    def push(self):
        return self.stream.next_push(self.now)

    def settle(self):
        """Push and acknowledge until there is nothing left; what was sent."""
        said = []
        while (push := self.push()) is not None:
            said.append(told(push))
            self.ack(push)
        return said


class DeltaTalk(Talk):
    def __init__(self):
        super().__init__(DeltaSubscription)

    def ask(self, type_url, *names, leave=(), initial=None, nonce="", error=None):
        return self.stream.receive(
            Request(
                type_url=type_url,
                subscribe=names,
                unsubscribe=tuple(leave),
                initial_versions=initial or {},
                nonce=nonce,
                error=error,
            ),
            1,
        )

    def ack(self, push, *names, leave=()):
        return self.ask(push.type_url, *names, leave=leave, nonce=push.nonce)

    def nack(self, push, detail):
        return self.ask(push.type_url, nonce=push.nonce, error=detail)


class SotwTalk(Talk):
    """Every request names all that is wanted, and the last nonce, unless a test says another."""

    def __init__(self):
        super().__init__(SotwSubscription)
        self.names = {}
        self.nonces = {}

    def ask(self, type_url, *names, nonce=None, version="", error=None):
        self.names[type_url] = names
        return self.stream.receive(
            Request(
                type_url=type_url,
                names=names,
                nonce=self.nonces.get(type_url, "") if nonce is None else nonce,
                version=version,
                error=error,
            ),
            1,
        )

    def push(self):
        push = super().push()
        if push is not None:
            self.nonces[push.type_url] = push.nonce
        return push

    def ack(self, push):
        return self.ask(push.type_url, *self.names[push.type_url], version=push.version)

    def nack(self, push, detail):
        return self.ask(push.type_url, *self.names[push.type_url], error=detail)
