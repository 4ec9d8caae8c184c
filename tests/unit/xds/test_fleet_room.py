"""How many proxies a replica takes, and how many streams one proxy may have."""

import pytest
from msgspec import structs

from osm.ads.admission import NoRoom
from osm.ads.canaries import Terms
from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine
from osm.ads.peer import Peer, StreamInfo
from osm.contracts.names import Identity
from osm.testing.authority import Authority
from services.xds.documents import Documents
from services.xds.fleet import STREAMS_OF_A_PROXY, Fleet
from services.xds.quarantine import Quarantine

WEB = Identity("shop", "web")
AUTHORITY = Authority()


class Replica:
    def __init__(self, max_proxies=0):
        self.engine, documents = Engine(), Documents()
        documents.mesh = structs.replace(documents.mesh, max_proxies=max_proxies)
        self.fleet = Fleet(
            trust_domain="cluster.local",
            replica="r",
            documents=documents,
            engine=self.engine,
            quarantine=Quarantine(lambda: None),
            terms=Terms(),
            wanted=lambda _: None,
            changed=lambda _: None,
        )

    def come(self, proxy_id):
        """A stream of this proxy begins."""
        peer = Peer.from_pem(AUTHORITY.proxy(proxy_id, WEB).chain_pem)
        self.fleet.authorize(peer, proxy_id)
        session = self.engine.open(DeltaSubscription, lambda: None)
        stream = StreamInfo(id=session.id, node_id=proxy_id, address="ipv4:127.0.0.1:1", peer=peer)
        self.fleet.connected(stream)
        return stream


def test_more_proxies_than_the_mesh_config_allows_find_no_room_and_one_that_leaves_makes_some():
    replica = Replica(max_proxies=2)
    first = replica.come("a")
    replica.come("b")
    with pytest.raises(
        NoRoom, match=r"2 proxies are connected, which is all that sidecar\.maxDataPlaneConnections allows"
    ):
        replica.come("c")
    replica.fleet.disconnected(first, "test")
    replica.come("c")


def test_a_proxy_that_comes_back_has_room_though_its_broken_stream_is_not_noticed_yet():
    replica = Replica(max_proxies=2)
    replica.come("a")
    replica.come("b")
    replica.come("a")
    with pytest.raises(NoRoom):
        replica.come("c")


def test_one_proxy_cannot_take_all_the_room():
    replica = Replica()
    for _ in range(STREAMS_OF_A_PROXY):
        replica.come("greedy")
    with pytest.raises(NoRoom, match=f"proxy greedy has {STREAMS_OF_A_PROXY} streams open"):
        replica.come("greedy")
    replica.come("modest")


def test_any_number_of_proxies_is_taken_where_the_mesh_config_sets_no_limit():
    replica = Replica()
    for number in range(50):
        replica.come(f"p-{number}")
    assert replica.fleet.overview.size == 50
