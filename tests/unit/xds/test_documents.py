from msgspec import Struct, structs

from osm.bus import Document, Update
from osm.contracts.catalog import MeshService, Policy, Split, WeightedBackend
from osm.contracts.channels import BUNDLE, MESH_SERVICE, POLICY
from osm.contracts.endpoints import Endpoint, Service, ServicePort
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.trust import Bundle
from services.xds.documents import Documents

STORE = Identity("bookstore", "bookstore-v1")
NAME = ServiceName("bookstore", "bookstore")
SERVICE = MeshService(service=Service(name=NAME, ports=(ServicePort(port=14001),), accounts=(STORE,)))
KEY = MESH_SERVICE.key("bookstore", "bookstore")
ENDPOINT = Endpoint(port=14001, address=Address("127.66.1.2", 14001), identity=STORE)


def update(*documents: tuple[str, Struct | None], full: bool = False, bucket: str = "catalog", at: int = 1) -> Update:
    return Update(
        bucket=bucket,
        full=full,
        revision=at,
        documents=tuple(
            Document(bucket=bucket, key=key, value=value, revision=at, deleted=value is None)
            for key, value in documents
        ),
    )


def test_a_service_whose_endpoints_moved_has_not_changed_its_shape() -> None:
    documents = Documents()
    documents.apply(update((KEY, SERVICE), full=True))
    changes = documents.apply(update((KEY, structs.replace(SERVICE, endpoints=(ENDPOINT,)))))
    assert changes.endpoints == {NAME}
    assert not changes.shapes


def test_a_new_split_is_a_new_shape() -> None:
    split = Split(
        origin=ObjectRef("TrafficSplit", "bookstore", "split"), backends=(WeightedBackend(service=NAME, weight=1),)
    )
    documents = Documents()
    documents.apply(update((KEY, SERVICE), full=True))
    assert documents.apply(update((KEY, structs.replace(SERVICE, split=split)))).shapes == {NAME}


def test_an_equal_document_is_no_change() -> None:
    documents = Documents()
    documents.apply(update((KEY, SERVICE), full=True))
    changes = documents.apply(update((KEY, SERVICE), full=True))
    assert not changes.shapes
    assert not changes.endpoints


def test_a_full_picture_takes_away_what_it_does_not_name() -> None:
    documents = Documents()
    documents.apply(
        update((KEY, SERVICE), (POLICY.key("bookstore", "bookstore-v1"), Policy(identity=STORE)), full=True)
    )
    changes = documents.apply(update((POLICY.key("bookstore", "bookstore-v1"), Policy(identity=STORE)), full=True))
    assert changes.shapes == {NAME}
    assert not documents.services
    assert not changes.policies


def test_a_body_that_does_not_decode_leaves_the_last_good_value() -> None:
    documents = Documents()
    documents.apply(update((KEY, SERVICE), full=True))
    broken = Document(bucket="catalog", key=KEY, value=None, revision=2, why="not a MeshService")
    changes = documents.apply(Update(bucket="catalog", full=False, documents=(broken,), revision=2))
    assert documents.services == {NAME: SERVICE}
    assert not changes.shapes


def test_the_picture_is_complete_with_both_buckets_and_a_bundle() -> None:
    documents = Documents()
    documents.apply(update((KEY, SERVICE), full=True))
    assert not documents.complete
    documents.apply(update(bucket="certmgr", full=True))
    assert not documents.complete
    bundle = Bundle(trust_domain="cluster.local", roots_pem=("root",))
    documents.apply(update((BUNDLE.key("cluster.local"), bundle), bucket="certmgr"))
    assert documents.complete


def test_a_vanished_bundle_does_not_end_trust() -> None:
    documents = Documents()
    bundle = Bundle(trust_domain="cluster.local", roots_pem=("root",))
    documents.apply(update((BUNDLE.key("cluster.local"), bundle), bucket="certmgr", full=True))
    documents.apply(update((BUNDLE.key("cluster.local"), None), bucket="certmgr"))
    assert documents.bundle == bundle
