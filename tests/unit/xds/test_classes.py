"""What a class of proxies is given does not depend on when its proxies come."""

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from msgspec import structs

from osm.ads.references import message_of
from osm.ads.resource import Resource
from osm.ads.types import ENDPOINT, ROUTE
from osm.bus import Document, Update
from osm.contracts.catalog import Ingress, MeshService, Policy, ServiceRetry, Upstream
from osm.contracts.channels import BUNDLE, MESH, MESH_SERVICE, POLICY
from osm.contracts.endpoints import Backed, Endpoint, Explicit, Service, ServicePort, Transparent, Workload
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policy import Mesh
from osm.contracts.traffic_settings import RetryTerms
from osm.contracts.trust import Bundle
from services.xds.classes import Classes, Configuration, ProxyClass
from services.xds.documents import Documents

STORE, BUYER = Identity("bookstore", "bookstore-v1"), Identity("bookbuyer", "bookbuyer")
OTHER = Identity("othershop", "other")
NAME = ServiceName("bookstore", "bookstore")
SERVICE = MeshService(service=Service(name=NAME, ports=(ServicePort(port=14001),), accounts=(STORE,)))
WORKLOAD = Workload(
    proxy_id="b-0",
    identity=BUYER,
    interception=Explicit(http_proxy=Address("127.66.0.3", 15001), outbound_host="127.66.0.3"),
)


def endpoint(host: str) -> Endpoint:
    return Endpoint(port=14001, address=Address(host, 14001), identity=STORE)


def of_service(service: MeshService, *, full: bool = False) -> Update:
    documents = [Document(bucket="catalog", key=MESH_SERVICE.key("bookstore", "bookstore"), value=service, revision=1)]
    if full:
        documents.append(Document(bucket="catalog", key=MESH.key(), value=Mesh(permissive=True), revision=1))
    return Update(bucket="catalog", full=full, revision=1, documents=tuple(documents))


def hosts(configuration: Configuration) -> list[str]:
    (assignment,) = configuration.resources[ENDPOINT].values()
    message = message_of(assignment)
    assert isinstance(message, ClusterLoadAssignment)
    return [each.endpoint.address.socket_address.address for group in message.endpoints for each in group.lb_endpoints]


def policy(identity: Identity, retry: str) -> Document:
    """The identity may call the service, and asks again because of the Retry of this name."""
    origin = ObjectRef("Retry", identity.namespace, retry)
    said = Policy(
        identity=identity,
        upstreams=(Upstream(service=NAME, accounts=(STORE,)),),
        retries=(ServiceRetry(origin=origin, service=NAME, terms=RetryTerms(on=("5xx",))),),
    )
    key = POLICY.key(identity.namespace, identity.account)
    return Document(bucket="catalog", key=key, value=said, revision=1)


def routes_of(configuration: Configuration) -> dict[str, Resource]:
    return {name: one for name, one in configuration.resources[ROUTE].items() if one.origins}


def test_a_resource_that_two_users_ask_for_alike_names_the_object_of_each() -> None:
    documents = Documents()
    documents.apply(of_service(SERVICE, full=True))
    said = (policy(BUYER, "mine"), policy(OTHER, "theirs"))
    documents.apply(Update(bucket="catalog", full=False, revision=2, documents=said))
    classes = Classes("cluster.local", documents)
    mine, theirs = (
        routes_of(classes.configuration(ProxyClass(identity=each, backs=(), interception=Transparent())))
        for each in (BUYER, OTHER)
    )
    shared = [name for name in mine if mine[name].version == theirs[name].version]
    assert shared
    for name in shared:
        assert mine[name].origins == (ObjectRef("Retry", BUYER.namespace, "mine"),)
        assert theirs[name].origins == (ObjectRef("Retry", OTHER.namespace, "theirs"),)


def test_an_object_that_is_renamed_and_says_the_same_is_named_from_then_on() -> None:
    documents = Documents()
    documents.apply(of_service(SERVICE, full=True))
    documents.apply(Update(bucket="catalog", full=False, revision=2, documents=(policy(BUYER, "old"),)))
    classes, it = Classes("cluster.local", documents), ProxyClass.of(WORKLOAD)
    before = routes_of(classes.configuration(it))
    renamed = Update(bucket="catalog", full=False, revision=3, documents=(policy(BUYER, "new"),))
    (after,) = classes.rebuild(documents.apply(renamed)).values()
    assert before
    for name, was in before.items():
        now = routes_of(after)[name]
        assert now.version == was.version, "nothing is sent"
        assert now.origins == (ObjectRef("Retry", BUYER.namespace, "new"),)


def test_a_class_is_built_anew_when_what_it_backs_is_opened_to_callers_from_outside() -> None:
    documents = Documents()
    documents.apply(of_service(SERVICE, full=True))
    documents.mesh = Mesh(permissive=False)
    classes = Classes("cluster.local", documents)
    backs = ProxyClass(STORE, (Backed(service=NAME, port=14001, target_port=14001),), Transparent())
    calls = ProxyClass(BUYER, (), Transparent())
    for each in (backs, calls):
        classes.configuration(each)
    ingress = Ingress(origin=ObjectRef("IngressBackend", "bookstore", "in"), target_port=14001, ranges=("10.0.0.0/8",))
    opened = structs.replace(SERVICE, ingress=(ingress,))
    assert classes.rebuild(documents.apply(of_service(opened))).keys() == {backs}


def test_a_proxy_that_joins_a_class_finds_the_endpoints_of_now() -> None:
    documents = Documents()
    documents.apply(of_service(SERVICE, full=True))
    bundle = Bundle(trust_domain="cluster.local", roots_pem=("PEM",))
    documents.apply(
        Update(
            bucket="certmgr",
            full=True,
            revision=1,
            documents=(Document(bucket="certmgr", key=BUNDLE.key("cluster.local"), value=bundle, revision=1),),
        )
    )
    classes, it = Classes("cluster.local", documents), ProxyClass.of(WORKLOAD)
    assert hosts(classes.configuration(it)) == []
    for addresses in (["127.66.1.2"], ["127.66.1.2", "127.66.1.4"]):
        moved = structs.replace(SERVICE, endpoints=tuple(map(endpoint, addresses)))
        (resources,) = classes.moved(documents.apply(of_service(moved))).values()
        assert hosts(classes.configuration(it)) == addresses
        assert list(classes.configuration(it).resources[ENDPOINT].values()) == list(resources)
