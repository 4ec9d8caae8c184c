"""Who may report its traffic, and what of it is an app's."""

from datetime import UTC, datetime

import pytest

from osm.ads.load_reports import ClusterLoad, Elsewhere
from osm.ads.peer import Denied, Peer
from services.xds.judgement import Load
from services.xds.reported import Reported, load_of
from services.xds.traffic import Traffic

URI = "spiffe://cluster.local/ns/shop/sa/web/proxy/web-0.shop"


def peer(*uris: str) -> Peer:
    return Peer(certificate_pem=b"", uris=uris, not_after=datetime.max.replace(tzinfo=UTC))


def load(cluster: str, successes: int = 0, errors: int = 0) -> ClusterLoad:
    return ClusterLoad(cluster=cluster, successes=successes, errors=errors)


def test_its_certificate_says_who_reports() -> None:
    traffic = Traffic()
    reported = Reported("cluster.local", {"web-0.shop": 7}.get, traffic)
    proxy_id = reported.greet(peer(URI), "web-0.shop")
    reported.take(proxy_id, (load("shop/db|80", 3, 1),))
    assert 7 in traffic
    with pytest.raises(Denied, match="a client certificate is needed"):
        reported.greet(None, "web-0.shop")
    with pytest.raises(Denied, match=r"node\.id is 'web-1.shop'"):
        reported.greet(peer(URI), "web-1.shop")
    with pytest.raises(Denied, match="is a workload's"):
        reported.greet(peer("spiffe://cluster.local/ns/shop/sa/web"), "web-0.shop")


def test_who_has_its_configuration_elsewhere_is_sent_there() -> None:
    here = {"web-0.shop": 7}
    reported = Reported("cluster.local", here.get, Traffic())
    proxy_id = reported.greet(peer(URI), "web-0.shop")
    reported.take(proxy_id, ())
    here.clear()
    with pytest.raises(Elsewhere, match=r"proxy web-0\.shop has its configuration from another replica"):
        reported.take(proxy_id, ())


def test_what_a_sidecar_does_for_itself_is_no_traffic() -> None:
    own = [load(name, 100, 100) for name in ("osm-xds", "osm-admin", "osm-ready-probe|web", "envoy-tracing-cluster")]
    apps = [load("shop/db|80", 3, 1), load("shop/web|8080|local", 2), load("osm-shop/x-probe|80", 1, 1)]
    assert load_of([*own, *apps]) == Load(8, 2)
