"""What endpoints shows to who scrapes it."""

from collections.abc import Callable

from osm.contracts.channels import IDENTITY, OBJECT_STATUS, SERVICE
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import ObjectStatus
from services.endpoints.diff import Change
from services.endpoints.measures import Measures

Scraped = Callable[..., float | None]


def verdict(name: str, *problems: str) -> tuple[str, ObjectStatus]:
    subject = ObjectRef("Service", "shop", name)
    found = tuple(Problem(subject=subject, what=what) for what in problems)
    return OBJECT_STATUS.key("endpoints", subject.kind, subject.namespace, name), ObjectStatus(
        subject=subject, problems=found
    )


def test_documents_are_counted_as_they_change_and_shown_by_kind_as_they_stand(scraped: Scraped) -> None:
    documents: dict[str, object] = {}
    measures = Measures(lambda: documents)
    assert scraped("osm_endpoints_documents_total", change="delete") == 0
    web = MeshIdentity(identity=Identity("shop", "web"))
    documents[IDENTITY.key("shop", "web")] = web
    documents[SERVICE.key("kubernetes", "shop", "web")] = documents[SERVICE.key("kubernetes", "shop", "db")] = web
    measures.batch(Change(puts={IDENTITY.key("shop", "web"): web}, deletes=("service.kubernetes.shop.old",)), 0.5)
    assert scraped("osm_endpoints_documents_total", change="put") == 1
    assert scraped("osm_endpoints_documents_total", change="delete") == 1
    assert scraped("osm_endpoints_published", kind="identity") == 1
    assert scraped("osm_endpoints_published", kind="service") == 2
    assert scraped("osm_endpoints_batch_seconds_sum") == 0.5


def test_an_object_counts_as_wrong_until_it_is_in_order_or_gone(scraped: Scraped) -> None:
    measures = Measures(dict)
    measures.verdicts(dict([verdict("a", "no selector"), verdict("b", "x", "y"), verdict("c", "z"), verdict("d")]))
    assert scraped("osm_endpoints_problems", severity="error") == 3
    measures.verdicts(dict([verdict("a")]) | {verdict("b")[0]: None})
    assert scraped("osm_endpoints_problems", severity="error") == 1
