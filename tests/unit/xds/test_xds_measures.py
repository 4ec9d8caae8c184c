"""What xds shows to who scrapes it, read as Prometheus would."""

from collections.abc import Callable, Mapping

import pytest

from osm.ads.canaries import Terms
from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine
from osm.ads.peer import Peer, StreamInfo
from osm.ads.resource import Resource
from osm.ads.types import CLUSTER, LISTENER
from osm.contracts.names import Identity
from osm.contracts.quarantine import RejectedResource
from osm.contracts.status import RolloutStatus
from osm.testing.authority import Authority
from services.xds.documents import Documents
from services.xds.fleet import Fleet
from services.xds.measures import measure
from services.xds.pushes import MOST_OPEN, Pushes
from services.xds.quarantine import Quarantine

Scraped = Callable[..., float | None]

WEB = Identity("shop", "web")
AUTHORITY = Authority()


def cluster(name: str) -> Resource:
    return Resource(type_url=CLUSTER, name=name, version="1", delta_head=b"", sotw_head=b"", body=b"")


class Replica:
    """A fleet of proxies that a test brings by hand, measured."""

    def __init__(self, certificates: Mapping[str, Callable[[], float | None]] | None = None) -> None:
        self.engine, self.documents, self.quarantine = Engine(), Documents(), Quarantine(lambda: None)
        self.slow: set[str] = set()
        self.fleet = Fleet(
            trust_domain="cluster.local",
            replica="r",
            documents=self.documents,
            engine=self.engine,
            quarantine=self.quarantine,
            terms=Terms(),
            wanted=lambda _: None,
            changed=lambda _: None,
        )
        measure(self.fleet.overview, self.engine.tally, slow=lambda: self.slow, certificates=certificates or {})

    def come(self, proxy_id: str) -> StreamInfo:
        """A stream of this proxy begins; its proxy is held while there is no certificate for its identity."""
        peer = Peer.from_pem(AUTHORITY.proxy(proxy_id, WEB).chain_pem)
        session = self.engine.open(DeltaSubscription, lambda: None)
        stream = StreamInfo(id=session.id, node_id=proxy_id, address="ipv4:127.0.0.1:1", peer=peer)
        self.fleet.connected(stream)
        return stream

    def release(self) -> None:
        """Whom we are told about has a certificate."""
        for _, member in self.fleet._roster:
            member.held_for = ""


def test_proxies_are_shown_by_state_and_those_of_no_proxy_as_nought(scraped: Scraped) -> None:
    replica = Replica()
    streams = [replica.come(f"p-{number}") for number in range(5)]
    assert scraped("osm_xds_proxies", state="held") == 5
    replica.release()
    replica.slow.add("p-0")
    replica.fleet.rejected(streams[1], CLUSTER, (cluster("a"),), "no")
    shown = {state: scraped("osm_xds_proxies", state=state) for state in ("synced", "waiting", "rejected", "held")}
    assert shown == {"synced": 3, "waiting": 1, "rejected": 1, "held": 0}


def test_a_proxy_whose_broken_connection_is_not_noticed_yet_counts_once(scraped: Scraped) -> None:
    replica = Replica()
    first = replica.come("p")
    replica.come("p")
    assert scraped("osm_xds_proxies", state="held") == 1
    replica.fleet.disconnected(first, "test")
    assert scraped("osm_xds_proxies", state="held") == 1


def test_changes_that_are_not_everywhere_are_shown_by_how_far_they_are(
    scraped: Scraped, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = Replica()
    lines = [RolloutStatus(identity=WEB, state=state, proxies=3, live=1) for state in ("canary", "stalled", "stalled")]
    monkeypatch.setattr(replica.fleet.overview, "rollouts", lambda: tuple(lines))
    shown = {
        state: scraped("osm_xds_rollouts", state=state) for state in ("canary", "stalled", "spreading", "quarantined")
    }
    assert shown == {"canary": 1, "stalled": 2, "spreading": 0, "quarantined": 0}


def test_what_is_quarantined_is_shown_by_type(scraped: Scraped, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Replica()
    rejected = [
        RejectedResource(type_url=url, name=name, version="1", reason="no", proxy_id="p", at_s=1.0)
        for url, name in ((CLUSTER, "a"), (CLUSTER, "b"), (LISTENER, "c"))
    ]
    monkeypatch.setattr(replica.quarantine, "standing", lambda: tuple(rejected))
    shown = {kind: scraped("osm_xds_quarantined", type=kind) for kind in ("CDS", "LDS", "RDS", "EDS")}
    assert shown == {"CDS": 2, "LDS": 1, "RDS": 0, "EDS": None}


def test_what_passed_is_shown_by_the_short_name_of_its_type(scraped: Scraped) -> None:
    replica = Replica()
    passed = replica.engine.tally.by_type[CLUSTER]
    passed.pushed, passed.pushed_bytes, passed.acknowledged, passed.rejected = 7, 700, 5, 2
    names = ("pushes", "pushed_bytes", "acknowledgements", "rejections")
    assert [scraped(f"osm_xds_{name}_total", type="CDS") for name in names] == [7, 700, 5, 2]
    assert [scraped(f"osm_xds_{name}_total", type="EDS") for name in names] == [0, 0, 0, 0]


def test_streams_are_shown_by_how_they_ended_and_a_way_that_none_did_as_nought(scraped: Scraped) -> None:
    replica = Replica()
    replica.engine.tally.ended["aged"] += 3
    replica.engine.tally.turned_away["denied"] += 1
    assert scraped("osm_xds_streams_ended_total", reason="aged") == 3
    assert scraped("osm_xds_streams_ended_total", reason="denied") == 0
    assert scraped("osm_xds_turned_away_total", reason="denied") == 1


def test_a_certificate_that_is_not_there_yet_has_no_end(scraped: Scraped) -> None:
    Replica({"leaf": lambda: 1_800_000_000.0, "control": lambda: None})
    assert scraped("osm_xds_certificate_not_after_seconds", kind="leaf") == 1_800_000_000
    assert scraped("osm_xds_certificate_not_after_seconds", kind="control") is None


def test_the_time_to_the_last_acknowledgement_counts_from_when_the_batch_was_taken_in(scraped: Scraped) -> None:
    acked = 0
    pushes = Pushes(lambda: acked, clock=lambda: 3_000_000_000)
    pushes.begin(1, 1_000_000_000)
    pushes.settle()
    assert scraped("osm_xds_convergence_seconds_count") is None
    acked = 1
    pushes.settle()
    assert scraped("osm_xds_convergence_seconds_sum") == 2.0


def test_a_batch_that_is_given_up_shows_how_long_it_was_waited_for(scraped: Scraped) -> None:
    pushes = Pushes(lambda: 0, clock=lambda: 60_000_000_000)
    for batch in range(1, MOST_OPEN + 2):
        pushes.begin(batch, 0)
    assert scraped("osm_xds_convergence_seconds_count") == 1
    assert scraped("osm_xds_convergence_seconds_bucket", le="30.0") == 0
