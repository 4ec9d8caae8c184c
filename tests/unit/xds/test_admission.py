import pytest

from osm.ads.peer import Denied
from osm.contracts.names import Identity
from services.xds.admission import Proxy, admit

BUYER = Identity("bookbuyer", "bookbuyer")
PROXY = BUYER.proxy_spiffe("cluster.local", "bookbuyer-0.bookbuyer")


def test_a_proxy_is_who_its_certificate_says() -> None:
    assert admit([PROXY], "bookbuyer-0.bookbuyer", "cluster.local") == Proxy("bookbuyer-0.bookbuyer", BUYER)


@pytest.mark.parametrize(
    ("uris", "node_id", "sentence"),
    [
        ([], "x", "must carry one SPIFFE URI of this mesh; found none"),
        ([PROXY, PROXY], "x", "must carry one SPIFFE URI"),
        ([PROXY, "https://elsewhere"], "bookbuyer-0.bookbuyer", "must carry one SPIFFE URI"),
        (["https://elsewhere"], "x", "found https://elsewhere"),
        ([PROXY], "bookthief-0.bookthief", "node.id is 'bookthief-0.bookthief' but the client certificate is of proxy"),
        ([BUYER.spiffe("cluster.local")], "bookbuyer-0.bookbuyer", "is a workload's; a proxy's certificate is needed"),
        ([BUYER.proxy_spiffe("other.mesh", "p")], "p", "is of trust domain 'other.mesh'; this mesh is 'cluster.local'"),
    ],
)
def test_others_are_denied_with_the_reason(uris: list[str], node_id: str, sentence: str) -> None:
    with pytest.raises(Denied) as denied:
        admit(uris, node_id, "cluster.local")
    assert sentence in str(denied.value)
