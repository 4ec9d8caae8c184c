from osm.cli.propagation import Live, Pending, propagation
from osm.contracts.status import Progress


def catalog(meshspec: int, output: int) -> Progress:
    return Progress(service="catalog", replica="c", inputs=(("meshspec", meshspec),), output=output, at_s=1.0)


def xds(output: int, *, replica: str = "x", behind: tuple[str, ...] = (), at_s: float = 2.0) -> Progress:
    return Progress(service="xds", replica=replica, output=output, at_s=at_s, proxies=3, behind=behind)


def test_a_change_is_live_when_every_replica_has_all_acknowledgements() -> None:
    lines = [catalog(7, 20), xds(20, replica="a", at_s=2.0), xds(21, replica="b", at_s=3.0)]
    assert propagation("meshspec", 7, lines) == Live(at_s=3.0, proxies=6)


def test_a_change_that_the_catalog_has_not_seen_is_not_live() -> None:
    assert propagation("meshspec", 8, [catalog(7, 20), xds(20)]) == Pending(where="catalog has not worked it in")


def test_who_lags_is_named() -> None:
    found = propagation("meshspec", 7, [catalog(7, 20), xds(19, behind=("bookbuyer-0.bookbuyer",))])
    assert found == Pending(where="xds x waits for acknowledgements", behind=("bookbuyer-0.bookbuyer",))


def test_without_xds_nothing_is_live() -> None:
    assert propagation("meshspec", 7, [catalog(7, 20)]) == Pending(where="no xds replica reports")
