"""What the catalog shows to who scrapes it."""

from collections.abc import Callable

from osm.contracts.channels import MESH, POLICY
from osm.contracts.policy import Mesh
from osm.contracts.problem import Problem
from services.catalog.app import Measures
from services.catalog.state import Changes

Scraped = Callable[..., float | None]

ERROR, WARNING = Problem(what="no such route group"), Problem(what="no weight", severity="warning")


def test_documents_are_counted_as_they_change_and_shown_by_kind_as_they_stand(scraped: Scraped) -> None:
    documents: dict[str, object] = {MESH.key(): Mesh(), POLICY.key("a", "x"): Mesh(), POLICY.key("b", "x"): Mesh()}
    measures = Measures(documents=lambda: documents, problems=tuple)
    assert scraped("osm_catalog_documents_total", change="delete") == 0
    measures.batch(Changes(puts={MESH.key(): Mesh()}, problems={}), 0.25)
    del documents[POLICY.key("b", "x")]
    assert scraped("osm_catalog_documents_total", change="put") == 1
    assert scraped("osm_catalog_published", kind="policy") == 1
    assert scraped("osm_catalog_published", kind="mesh") == 1
    assert scraped("osm_catalog_batch_seconds_sum") == 0.25


def test_an_object_with_an_error_is_no_object_with_warnings_only(scraped: Scraped) -> None:
    found = [(WARNING, ERROR, ERROR), (WARNING,), (WARNING, WARNING), ()]
    Measures(documents=dict, problems=lambda: found)
    assert scraped("osm_catalog_problems", severity="error") == 1
    assert scraped("osm_catalog_problems", severity="warning") == 2
    found.clear()
    assert scraped("osm_catalog_problems", severity="error") == 0
