"""What several classes of proxies have in common is made once, and is never older than the documents."""

from weakref import ref

import pytest
from msgspec import structs

from osm.ads.types import CLUSTER, ENDPOINT, ROUTE
from osm.bus import Document, Update
from osm.contracts.catalog import MeshService
from osm.contracts.channels import BUNDLE, MESH, MESH_SERVICE
from osm.contracts.endpoints import Endpoint, Service, ServicePort, Transparent, Workload
from osm.contracts.names import Address, Identity, ServiceName
from osm.contracts.policy import Mesh
from osm.contracts.trust import Bundle
from services.xds.classes import Classes, ProxyClass
from services.xds.documents import Documents

STORE = Identity("shop", "store")
NAME = ServiceName("shop", "store")
SERVICE = MeshService(
    service=Service(name=NAME, ports=(ServicePort(port=80),), accounts=(STORE,), virtual_ips=("10.0.0.1",)),
    endpoints=(Endpoint(port=80, address=Address("10.1.0.1", 80), identity=STORE),),
)
BUYER, THIEF = (
    ProxyClass.of(Workload(proxy_id="any", identity=Identity("shop", account), interception=Transparent()))
    for account in ("buyer", "thief")
)


def of(bucket: str, **values: object) -> Update:
    documents = tuple(Document(bucket=bucket, key=key, value=value, revision=1) for key, value in values.items())
    return Update(bucket=bucket, full=False, revision=1, documents=documents)


def service(found: MeshService) -> Update:
    return of("catalog", **{MESH_SERVICE.key("shop", "store"): found})


@pytest.fixture
def documents() -> Documents:
    documents = Documents()
    bundle = Bundle(trust_domain="cluster.local", roots_pem=("PEM",))
    documents.apply(of("certmgr", **{BUNDLE.key("cluster.local"): bundle}))
    documents.apply(of("catalog", **{MESH.key(): Mesh(permissive=True)}))
    documents.apply(service(SERVICE))
    return documents


def test_two_identities_that_may_call_a_service_share_all_that_is_made_of_it(documents: Documents) -> None:
    classes = Classes("cluster.local", documents)
    ones, others = (classes.configuration(each).resources for each in (BUYER, THIEF))
    for type_url, name in (
        (CLUSTER, "shop/store|80"),
        (ROUTE, "rds-outbound.shop/store|80"),
        (ENDPOINT, "shop/store|80"),
    ):
        assert ones[type_url][name] is others[type_url][name]


def test_a_class_that_is_built_later_has_what_has_changed_meanwhile(documents: Documents) -> None:
    classes = Classes("cluster.local", documents)
    before = classes.configuration(BUYER).resources
    first = before[CLUSTER]["shop/store|80"]
    wider = structs.replace(SERVICE, service=structs.replace(SERVICE.service, accounts=(STORE, THIEF.identity)))
    after = classes.rebuild(documents.apply(service(wider)))[BUYER].resources
    late = classes.configuration(THIEF).resources
    assert first.version != after[CLUSTER]["shop/store|80"].version
    assert late[CLUSTER]["shop/store|80"] is after[CLUSTER]["shop/store|80"]


def test_what_no_class_needs_any_more_is_let_go(documents: Documents) -> None:
    classes = Classes("cluster.local", documents)
    kept = ref(classes.configuration(BUYER).resources[CLUSTER]["shop/store|80"])
    assert kept() is not None
    classes.forget(BUYER)
    assert kept() is None
