"""What `osm status --watch` says where it is piped."""

from msgspec import structs

from osm.cli.status_changes import NOTHING_SAID, lines, news
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.status import ProxyStatus, Rejection, RolloutStatus

STORE = Identity("shop", "store")
PROXY = ProxyStatus(proxy_id="store-0.shop", identity=STORE, replica="x-0", connected_at_s=1.0)
ROLLOUT = RolloutStatus(identity=STORE, state="canary", proxies=50, live=49, canaries=("store-0.shop",))
REFUSED = Rejection(
    type_url="RDS", resources=("routes",), reason="missing )", origins=(ObjectRef("TrafficTarget", "shop", "books"),)
)


def test_a_change_is_told_from_its_canary_to_its_end() -> None:
    asked = lines([], [PROXY], [("x-0", ROLLOUT)], [])
    spread = lines([], [PROXY], [("x-0", structs.replace(ROLLOUT, state="spreading", canaries=(), live=7))], [])
    assert list(news(NOTHING_SAID, asked)) == [
        "change for shop/store at x-0 is canary, live on 49 of 50, asked first: store-0.shop",
        "proxy store-0.shop is synced",
    ]
    assert list(news(asked, spread)) == ["change for shop/store at x-0 is spreading, live on 7 of 50"]
    assert list(news(spread, lines([], [PROXY], [], []))) == ["change for shop/store at x-0 is on all its proxies"]


def test_what_was_rejected_is_named_with_its_object_and_envoys_words() -> None:
    stopped = structs.replace(ROLLOUT, state="quarantined", canaries=(), rejections=(REFUSED,))
    told = lines([], [], [("x-0", stopped)], [])
    assert "quarantine of routes (from TrafficTarget shop/books), Envoy says: missing )" in list(
        news(NOTHING_SAID, told)
    )
    assert "quarantine of routes is lifted" in list(news(told, NOTHING_SAID))


def test_what_stays_as_it_was_is_no_news() -> None:
    told = lines([], [PROXY], [("x-0", ROLLOUT)], [])
    assert list(news(told, told)) == []
