"""Which Retry counts for whom, and what follows when what it names comes or goes."""

from osm.bus import Document, Update
from osm.contracts.catalog import Policy, ServiceRetry
from osm.contracts.channels import POLICY, RETRY
from osm.contracts.endpoints import MeshIdentity, Service, ServiceEndpoints
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import Mesh
from osm.contracts.traffic_settings import Retry, RetryTerms
from services.catalog.check import Endpoints, check, key_of, picture
from services.catalog.state import Catalog

BUYER = Identity("shop", "buyer")
WEB, DB = ServiceName("books", "web"), ServiceName("books", "db")
TERMS, OTHERS = RetryTerms(on=("5xx",), retries=5), RetryTerms(on=("reset",))


def asked(name: str, *services: ServiceName, terms: RetryTerms = TERMS, source: Identity = BUYER) -> Retry:
    return Retry(namespace="shop", name=name, source=source, destinations=services, terms=terms)


def runs(*services: ServiceName) -> tuple[Endpoints, ...]:
    return (
        MeshIdentity(identity=BUYER),
        *(ServiceEndpoints(service=Service(name=name, ports=())) for name in services),
    )


def settle(*policies: AnyPolicy, endpoints: tuple[Endpoints, ...] = runs(WEB, DB)) -> Catalog:
    catalog = Catalog()
    catalog.apply(picture("meshspec", policies), picture("endpoints", endpoints))
    return catalog


def change(catalog: Catalog, bucket: str, value: AnyPolicy | Endpoints, *, gone: bool = False) -> None:
    document = Document(bucket=bucket, key=key_of(value), value=None if gone else value, revision=9, deleted=gone)
    catalog.apply(Update(bucket=bucket, full=False, documents=(document,), revision=9))


def retries(catalog: Catalog, who: Identity = BUYER) -> tuple[ServiceRetry, ...]:
    document = catalog.documents[POLICY.key(who.namespace, who.account)]
    assert isinstance(document, Policy)
    return document.retries


def said(catalog: Catalog, name: str) -> list[str]:
    found = catalog.problems.get(ObjectRef("Retry", "shop", name), ())
    return [f"{each.severity} {each.field}: {each.what}" for each in found]


def of(name: str, service: ServiceName, terms: RetryTerms = TERMS) -> ServiceRetry:
    return ServiceRetry(origin=ObjectRef("Retry", "shop", name), service=service, terms=terms)


def test_a_retry_is_part_of_its_sources_policy_sorted_by_service() -> None:
    catalog = settle(asked("one", WEB, DB))
    assert retries(catalog) == (of("one", DB), of("one", WEB))
    assert catalog.problems == {}


def test_a_permissive_mesh_has_retries_too() -> None:
    assert retries(settle(asked("one", WEB), Mesh(permissive=True))) == (of("one", WEB),)


def test_the_first_by_name_counts_for_a_service_and_the_other_for_the_rest() -> None:
    catalog = settle(asked("two", WEB, DB, terms=OTHERS), asked("one", WEB))
    assert retries(catalog) == (of("two", DB, OTHERS), of("one", WEB))
    assert said(catalog, "one") == []
    assert said(catalog, "two") == [
        "error spec.destinations[0]: Retry shop/one speaks of requests to service books/web already, "
        "and comes first by name; this one does nothing for it"
    ]


def test_who_was_overruled_counts_when_the_first_is_gone() -> None:
    catalog = settle(asked("two", WEB, terms=OTHERS), asked("one", WEB))
    change(catalog, "meshspec", asked("one", WEB), gone=True)
    assert retries(catalog) == (of("two", WEB, OTHERS),)
    assert catalog.problems == {}


def test_a_service_that_is_not_there_takes_itself_out_until_it_comes() -> None:
    catalog = settle(asked("one", WEB, DB), endpoints=runs(WEB))
    assert retries(catalog) == (of("one", WEB),)
    assert said(catalog, "one") == [
        'error spec.destinations[1]: no Service "db" in namespace books, there is web; the Retry does nothing for it'
    ]
    change(catalog, "endpoints", ServiceEndpoints(service=Service(name=DB, ports=())))
    assert retries(catalog) == (of("one", DB), of("one", WEB))
    assert catalog.problems == {}


def test_an_account_that_nobody_runs_under_is_a_warning() -> None:
    catalog = settle(asked("one", WEB, source=Identity("shop", "byer")))
    assert said(catalog, "one") == [
        'warning spec.source: no meshed workload runs under service account "byer" in namespace shop, there is buyer'
    ]


def test_an_account_that_comes_later_has_its_retries() -> None:
    late = Identity("shop", "late")
    catalog = settle(asked("one", WEB, source=late))
    change(catalog, "endpoints", MeshIdentity(identity=late))
    assert retries(catalog, late) == (of("one", WEB),)
    assert catalog.problems == {}


def test_a_source_that_a_retry_names_no_longer_has_none() -> None:
    catalog = settle(asked("one", WEB))
    change(catalog, "meshspec", asked("one", WEB, source=Identity("shop", "other")))
    assert retries(catalog) == ()


def test_a_retry_that_goes_takes_its_problems_along() -> None:
    catalog = settle(asked("one", ServiceName("books", "wbe")))
    assert said(catalog, "one")
    change(catalog, "meshspec", asked("one", WEB), gone=True)
    assert catalog.problems == {}


def test_a_check_without_a_mesh_takes_accounts_and_services_for_granted() -> None:
    assert check([asked("one", WEB)]) == ()


def test_the_key_is_the_objects() -> None:
    assert key_of(asked("one", WEB)) == RETRY.key("shop", "one")
