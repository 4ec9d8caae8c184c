"""The fleet over a real engine: what documents, secrets, answers and departures do to connected proxies."""

from collections.abc import Mapping

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from msgspec import Struct, structs

from osm.ads.canaries import Terms
from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine, Session
from osm.ads.peer import Denied, Peer, StreamInfo
from osm.ads.push import Push
from osm.ads.resource import Resource
from osm.ads.subscription import Acked
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from osm.ads.wire import Request
from osm.bus import Document, Update
from osm.contracts.catalog import MeshService, Policy, ServiceRetry, Split, WeightedBackend
from osm.contracts.channels import MESH, MESH_SERVICE, MESH_WORKLOAD, POLICY
from osm.contracts.endpoints import Backed, Endpoint, Service, ServicePort, Transparent, Workload
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policy import Mesh
from osm.contracts.status import ProxyStatus
from osm.contracts.traffic_settings import RetryTerms
from osm.testing.authority import Authority
from services.xds.documents import Documents
from services.xds.fleet import Fleet
from services.xds.judgement import Allowed, Load
from services.xds.probation import Probation
from services.xds.quarantine import Quarantine
from services.xds.traffic import Traffic
from services.xds.translate import LEAF, bundle_name

WEB, DB = Identity("shop", "web"), Identity("shop", "db")
STORE = ServiceName("shop", "store")
STORE_CLUSTER = "shop/store|80"
AUTHORITY = Authority()
TRUST_DOMAIN = "cluster.local"


def endpoint(host: str) -> Endpoint:
    return Endpoint(port=80, address=Address(host, 80), identity=DB)


def service(*hosts: str, ports: tuple[int, ...] = (80,), split: Split | None = None) -> MeshService:
    of = Service(name=STORE, ports=tuple(ServicePort(port=port) for port in ports), accounts=(DB,))
    return MeshService(service=of, endpoints=tuple(map(endpoint, hosts)), split=split)


def workload(proxy_id: str, identity: Identity = WEB, backs: tuple[Backed, ...] = ()) -> Workload:
    return Workload(proxy_id=proxy_id, identity=identity, interception=Transparent(), backs=backs)


def leaf(version: str) -> Resource:
    return Resource.of(LEAF, Secret(name=LEAF), version=version)


class Replica:
    """A permissive mesh with one service and proxies `a`, `b` and `c` of one class; what they do, a test says."""

    def __init__(self, probation: Probation | None = None) -> None:
        self.engine, self.documents = Engine(), Documents()
        self.quarantine = Quarantine(lambda: None)
        self.wanted: list[Identity] = []
        self.changed: list[str] = []
        self.fleet = Fleet(
            trust_domain=TRUST_DOMAIN,
            replica="r",
            documents=self.documents,
            engine=self.engine,
            quarantine=self.quarantine,
            terms=Terms(),
            wanted=self.wanted.append,
            changed=self.changed.append,
            probation=probation,
        )
        self.sessions: dict[int, Session] = {}
        self.revision = 0
        self.write(
            {MESH.key(): Mesh(permissive=True), MESH_SERVICE.key("shop", "store"): service("10.0.0.1")}
            | {MESH_WORKLOAD.key(each): workload(each) for each in "abc"}
        )
        name = bundle_name(TRUST_DOMAIN)
        self.fleet.put_bundle(Resource.of(name, Secret(name=name)))
        self.fleet.put_leaf(WEB, leaf("1"))

    def write(self, documents: Mapping[str, Struct | None]) -> None:
        """The catalog has written these; None: it has deleted one."""
        self.revision += 1
        said = tuple(
            Document(bucket="catalog", key=key, value=value, deleted=value is None, revision=self.revision)
            for key, value in documents.items()
        )
        update = Update(bucket="catalog", full=False, revision=self.revision, documents=said)
        self.fleet.take(self.documents.apply(update), self.revision)

    def write_service(self, written: MeshService) -> None:
        self.write({MESH_SERVICE.key("shop", "store"): written})

    def come(self, proxy_id: str) -> StreamInfo:
        """A stream of this proxy begins, as the server does it, and asks for what Envoy asks for."""
        peer = Peer.from_pem(AUTHORITY.proxy(proxy_id, WEB).chain_pem)
        lane = self.fleet.authorize(peer, proxy_id)
        session = self.engine.open(DeltaSubscription, lambda: None)
        stream = StreamInfo(id=session.id, node_id=proxy_id, address="ipv4:127.0.0.1:1", peer=peer)
        self.sessions[session.id] = session
        self.fleet.connected(stream)
        self.engine.move(session.id, lane)
        for type_url in (CLUSTER, LISTENER):
            self.engine.receive(session, Request(type_url=type_url))
        for type_url, name in ((SECRET, LEAF), (ENDPOINT, STORE_CLUSTER), (ROUTE, "rds-outbound.80")):
            self.engine.receive(session, Request(type_url=type_url, subscribe=(name,)))
        return stream

    def leave(self, stream: StreamInfo) -> None:
        self.engine.close(self.sessions.pop(stream.id))
        self.fleet.disconnected(stream, "test")

    def push(self, stream: StreamInfo) -> Push | None:
        return self.engine.next_push(self.sessions[stream.id], 0.0)

    def answer(self, stream: StreamInfo, push: Push, error: str | None = None) -> None:
        answer = self.engine.receive(
            self.sessions[stream.id], Request(type_url=push.type_url, nonce=push.nonce, error=error)
        )
        if isinstance(answer, Acked):
            self.fleet.acked(stream, push.type_url)
        elif answer is not None:
            self.fleet.rejected(stream, push.type_url, answer.guilty, answer.detail)

    def take(self, stream: StreamInfo, *, no: tuple[str, str] | None = None) -> dict[str, str]:
        """Accept all that comes but for the type and words of `no`; the newest version of what was accepted."""
        took: dict[str, str] = {}
        while (push := self.push(stream)) is not None:
            refused = no is not None and push.type_url == no[0]
            self.answer(stream, push, no[1] if no is not None and refused else None)
            if not refused:
                took |= {each.name: each.version for each in push.resources}
        return took

    def line(self, proxy_id: str) -> ProxyStatus:
        line = self.fleet.overview.status_of(proxy_id)
        assert line is not None
        return line


def in_sync() -> tuple[Replica, StreamInfo, StreamInfo]:
    """Two proxies that have everything; the first is the canary."""
    replica = Replica()
    first, second = replica.come("a"), replica.come("b")
    for stream in (first, second, first):
        replica.take(stream)
    replica.changed.clear()
    return replica, first, second


# Who comes and goes


def test_nobody_is_let_in_without_a_certificate() -> None:
    with pytest.raises(Denied, match="a client certificate is needed"):
        Replica().fleet.authorize(None, "a")


def test_a_leaf_is_wanted_for_who_comes() -> None:
    replica = Replica()
    replica.come("a")
    assert replica.wanted == [WEB]


def test_who_comes_is_given_everything() -> None:
    replica = Replica()
    took = replica.take(replica.come("a"))
    assert {LEAF, STORE_CLUSTER, "rds-outbound.80"} <= took.keys()
    assert replica.line("a").state == "synced"
    assert replica.fleet.overview.acked_revision() == replica.revision


def test_the_second_of_a_class_is_no_canary_and_follows_the_first() -> None:
    replica, first, second = in_sync()
    replica.write_service(service("10.0.0.1", ports=(80, 81)))
    assert replica.push(second) is None
    replica.take(first)
    assert "shop/store|81" in replica.take(second)


def test_the_last_of_a_class_takes_it_along() -> None:
    replica, first, second = in_sync()
    replica.leave(first)
    assert replica.engine.groups() != ()
    replica.leave(second)
    assert replica.engine.groups() == ()
    assert replica.fleet.overview.status_of("a") is None
    assert replica.changed == ["a", "b"]


def test_what_a_proxy_has_reported_of_its_traffic_goes_with_it() -> None:
    traffic = Traffic()
    allowed = Allowed(margin=0.1, requests=1)
    replica = Replica(Probation(watch_s=1.0, allowed=allowed, traffic=traffic, objected=lambda *_: None))
    stream = replica.come("a")
    traffic.report(stream.id, Load(1, 0), 0.0)
    replica.leave(stream)
    assert len(traffic) == 0


def test_of_two_streams_of_a_proxy_the_newer_one_counts() -> None:
    replica = Replica()
    replica.come("a")
    newer = replica.come("a")
    assert replica.fleet.newest_stream("a") == newer.id
    assert replica.fleet.newest_stream("b") is None


# What documents and secrets do


def test_endpoints_reach_everybody_at_once() -> None:
    replica, first, second = in_sync()
    replica.write_service(service("10.0.0.2"))
    assert replica.fleet.overview.acked_revision() == replica.revision - 1
    assert [set(replica.take(stream)) for stream in (second, first)] == [{STORE_CLUSTER}] * 2
    assert replica.fleet.overview.acked_revision() == replica.revision


def test_a_renewed_leaf_reaches_everybody_of_its_identity() -> None:
    replica, first, second = in_sync()
    replica.fleet.put_leaf(DB, leaf("of another"))
    assert replica.take(first) == {}
    replica.fleet.put_leaf(WEB, leaf("2"))
    assert [replica.take(stream) for stream in (first, second)] == [{LEAF: "2"}] * 2
    assert replica.fleet.overview.acked_revision() == replica.revision


def test_who_came_before_its_leaf_is_held_until_it_is_there() -> None:
    replica = Replica()
    replica.fleet.forget_leaf(WEB)
    stream = replica.come("a")
    assert replica.push(stream) is None
    assert (replica.line("a").state, replica.line("a").why) == ("held", "its certificate has not been issued yet")
    replica.fleet.put_leaf(WEB, leaf("2"))
    assert replica.take(stream)[LEAF] == "2"
    assert replica.line("a").state == "synced"


def test_who_came_before_its_workload_document_is_held_until_it_is_there() -> None:
    replica = Replica()
    stream = replica.come("new")
    assert (replica.push(stream), replica.line("new").why) == (None, "no workload document yet")
    replica.write({MESH_WORKLOAD.key("new"): workload("new")})
    assert LEAF in replica.take(stream)


def test_who_loses_its_workload_document_keeps_what_it_has_and_is_told_nothing() -> None:
    replica, first, _ = in_sync()
    replica.write({MESH_WORKLOAD.key("a"): None})
    replica.write_service(service("10.0.0.2"))
    assert replica.push(first) is None
    assert replica.line("a").state == "held"


def test_a_proxy_that_belongs_to_another_identity_is_denied_or_held_if_it_is_here() -> None:
    replica, first, _ = in_sync()
    replica.write({MESH_WORKLOAD.key("a"): workload("a", DB), MESH_WORKLOAD.key("c"): workload("c", DB)})
    assert replica.push(first) is None
    assert "proxy a belongs to shop/db, its certificate to shop/web" in replica.line("a").why
    with pytest.raises(Denied, match="proxy c belongs to shop/db"):
        replica.come("c")


def test_a_proxy_that_moves_to_another_class_leaves_its_old_one() -> None:
    replica, first, second = in_sync()
    moved = workload("a", backs=(Backed(service=STORE, port=80, target_port=8080),))
    replica.write({MESH_WORKLOAD.key("a"): moved})
    replica.take(first)
    sizes = sorted(rollout.group.size for rollout in replica.fleet.lanes.rollouts().values())
    assert sizes == [1, 1]
    replica.write_service(service("10.0.0.1", ports=(80, 81)))
    assert "shop/store|81" in replica.take(second), "it is its class's own canary now"
    replica.write({MESH_WORKLOAD.key("b"): structs.replace(moved, proxy_id="b")})
    assert [rollout.group.size for rollout in replica.fleet.lanes.rollouts().values()] == [2]


# What proxies say no to


def splitting(name: str) -> MeshService:
    """A split that changes the route alone."""
    split = Split(
        origin=ObjectRef("TrafficSplit", "shop", name),
        backends=(
            WeightedBackend(service=STORE, weight=1),
            WeightedBackend(service=ServiceName("shop", "gone"), weight=1),
        ),
    )
    return service("10.0.0.1", split=split)


def test_what_a_canary_refuses_is_told_of_it_and_of_the_users_object_and_goes_to_nobody_else() -> None:
    replica, first, second = in_sync()
    replica.write_service(splitting("bad"))
    replica.take(first, no=(ROUTE, "rds-outbound.80: no"))
    assert replica.take(second) == {}
    bad = ObjectRef("TrafficSplit", "shop", "bad")
    assert [(each.reason, each.origins) for each in replica.line("a").rejections] == [("rds-outbound.80: no", (bad,))]
    assert list(replica.fleet.overview.words_on_objects()) == [bad]
    assert "a" in replica.changed


def test_of_the_objects_behind_what_was_refused_the_one_that_has_joined_is_told() -> None:
    replica, first, second = in_sync()
    replica.write_service(splitting("fine"))
    for stream in (first, second):
        replica.take(stream)
    retry = ObjectRef("Retry", "shop", "bad")
    terms = RetryTerms(on=("5xx",))
    policy = Policy(identity=WEB, retries=(ServiceRetry(origin=retry, service=STORE, terms=terms),))
    replica.write({POLICY.key("shop", "web"): policy})
    replica.take(first, no=(ROUTE, "no"))
    assert list(replica.fleet.overview.words_on_objects()) == [retry]


def test_a_refusal_is_told_no_longer_once_something_else_is_wanted() -> None:
    replica, first, _ = in_sync()
    replica.write_service(splitting("bad"))
    replica.take(first, no=(ROUTE, "no"))
    replica.changed.clear()
    replica.write_service(service("10.0.0.1"))
    assert replica.line("a").rejections == ()
    assert "a" in replica.changed
    assert replica.fleet.overview.words_on_objects() == {}


def test_an_object_that_is_renamed_while_it_is_rejected_is_the_one_that_is_told_of() -> None:
    replica, first, _ = in_sync()
    replica.write_service(splitting("bad"))
    replica.take(first, no=(ROUTE, "no"))
    replica.write_service(splitting("still-bad"))
    assert replica.push(first) is None
    now = ObjectRef("TrafficSplit", "shop", "still-bad")
    assert list(replica.fleet.overview.words_on_objects()) == [now]
    assert [each.origins for each in replica.line("a").rejections] == [(now,)]


def test_a_port_that_is_taken_is_its_machines_trouble_and_stops_nothing() -> None:
    replica, first, second = in_sync()
    replica.write_service(splitting("fine"))
    replica.take(first, no=(ROUTE, "cannot bind '0.0.0.0:80': Address already in use"))
    assert replica.quarantine.standing() == ()
    assert replica.line("a").state == "rejected"
    assert replica.push(second) is None, "the canary does not hold it"


def test_what_another_replica_has_seen_rejected_is_taken_back_here_where_it_is_not_proven() -> None:
    replica, first, second = in_sync()
    replica.write_service(splitting("bad"))
    while (push := replica.push(first)) is not None and push.type_url != ROUTE:
        replica.answer(first, push)
    assert push is not None
    [route] = push.resources
    replica.quarantine.reject(route, None, reason="no", proxy_id="elsewhere", now_s=0.0)
    replica.fleet.quarantine_changed(frozenset({(route.type_url, route.name, route.version)}))
    replica.answer(first, push)
    assert route.name in replica.take(first), "it gets the last good one"
    assert replica.take(second) == {}


def test_an_answer_is_news_of_how_far_all_are() -> None:
    replica, first, _ = in_sync()
    replica.write_service(service("10.0.0.2"))
    replica.changed.clear()
    replica.take(first)
    assert replica.changed == [""]


def test_a_resource_that_nobody_named_is_told_of_nobody() -> None:
    """While the culprit is searched for."""
    replica, first, _ = in_sync()
    replica.fleet.rejected(first, CLUSTER, (), "no")
    assert replica.line("a").rejections == ()
    replica.fleet.rejected(first, CLUSTER, (Resource.of("x", Cluster(name="x")),), "no")
    assert replica.line("a").state == "rejected"
