"""What is kept of an identity's leaf when its proxies have gone: nothing that could be served when they come back."""

import asyncio

import pytest
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from msgspec import structs

from osm.ads.canaries import Terms
from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine
from osm.ads.peer import Peer, StreamInfo
from osm.ads.resource import Resource
from osm.bus.memory import MemoryCore
from osm.contracts.endpoints import Transparent, Workload
from osm.contracts.names import Identity
from osm.contracts.trust import Chain
from osm.pki.holder import Held
from osm.pki.keys import make_key
from osm.testing.authority import Authority
from services.xds.documents import Documents
from services.xds.fleet import Fleet
from services.xds.leaves import Leaves, forget_unused, leaf_resource
from services.xds.quarantine import Quarantine
from services.xds.translate import LEAF, bundle_name

WEB, DB = Identity("shop", "web"), Identity("shop", "db")


async def test_the_leaf_of_an_identity_that_is_wanted_no_longer_is_forgotten() -> None:
    forgotten: list[Identity] = []
    bus = MemoryCore().bus("xds")
    async with asyncio.TaskGroup() as tasks:
        leaves = Leaves(bus, tasks, "cluster.local")
        leaves.hand_to(lambda *_: None, forgotten.append)
        leaves.want(WEB)
        leaves.want(DB)
        leaves.keep_only({DB})
        assert forgotten == [WEB]
        leaves.keep_only(set())
    assert forgotten == [WEB, DB]


def test_the_version_of_a_leaf_says_nothing_of_its_key_and_changes_with_its_chain() -> None:
    chain = Chain(chain_pem="PEM", issuer="root", not_before_s=0, not_after_s=1)
    first, second = (leaf_resource(Held(make_key(), chain)) for _ in range(2))
    assert first.body != second.body
    assert first.version == second.version
    assert leaf_resource(Held(make_key(), structs.replace(chain, not_after_s=2))).version != first.version


async def test_a_leaf_is_kept_for_a_while_after_its_last_proxy_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.xds.leaves.GRACE_S", 0.0)
    kept: list[set[Identity]] = []
    connected = iter([{WEB, DB}, {DB}, {DB}])

    class Noted(Leaves):
        def keep_only(self, wanted: set[Identity]) -> None:
            kept.append(wanted)

    async with asyncio.TaskGroup() as tasks:
        leaves = Noted(MemoryCore().bus("xds"), tasks, "cluster.local")
        with pytest.raises(RuntimeError):  # how a coroutine says that the iterator is exhausted
            await forget_unused(leaves, lambda: next(connected))
    assert kept == [{WEB, DB}, {WEB, DB}, {DB}]


def test_a_proxy_that_comes_back_waits_for_a_new_leaf_and_is_not_served_with_the_old_one() -> None:
    engine, documents = Engine(), Documents()
    documents.workloads["a"] = Workload(proxy_id="a", identity=WEB, interception=Transparent())
    fleet = Fleet(
        trust_domain="cluster.local",
        replica="r",
        documents=documents,
        engine=engine,
        quarantine=Quarantine(lambda: None),
        terms=Terms(),
        wanted=lambda _: None,
        changed=lambda _: None,
    )
    peer = Peer.from_pem(Authority().proxy("a", WEB).chain_pem)

    def came() -> StreamInfo:
        fleet.authorize(peer, "a")
        session = engine.open(DeltaSubscription, lambda: None)
        stream = StreamInfo(id=session.id, node_id="a", address="ipv4:127.0.0.1:1", peer=peer)
        fleet.connected(stream)
        return stream

    def held_for() -> str:
        line = fleet.overview.status_of("a")
        assert line is not None
        return line.why

    name = bundle_name("cluster.local")
    fleet.put_bundle(Resource.of(name, Secret(name=name)))
    fleet.put_leaf(WEB, Resource.of(LEAF, Secret(name=LEAF)))
    first = came()
    assert held_for() == ""
    fleet.disconnected(first, "test")
    fleet.forget_leaf(WEB)
    came()
    assert held_for() == "its certificate has not been issued yet"
    fleet.put_leaf(WEB, Resource.of(LEAF, Secret(name=LEAF)))
    assert held_for() == ""
