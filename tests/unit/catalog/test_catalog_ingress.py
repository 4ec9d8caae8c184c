"""Who is admitted from outside the mesh: by which policy, from where, and what follows when addresses change."""

from osm.bus import Document, Update
from osm.contracts.catalog import Ingress, MeshService
from osm.contracts.channels import BARE, INGRESS_BACKEND, MESH_SERVICE
from osm.contracts.endpoints import BareService, Endpoint, Service, ServiceEndpoints, ServicePort
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policy import IngressBackend, IngressPort, SourceRange, SourceService
from services.catalog.check import PLATFORM, Endpoints, Policies, picture
from services.catalog.state import Catalog

WEB = ServiceName("shop", "web")
NGINX = ServiceName("edge", "nginx")
OPENING = ObjectRef("IngressBackend", "shop", "open")


def opening(
    *sources: SourceService | SourceRange, name: str = "open", namespace: str = "shop", port: int = 8080
) -> IngressBackend:
    return IngressBackend(
        namespace=namespace,
        name=name,
        backends=(IngressPort(service="web", target_port=port),),
        sources=sources or (SourceRange(cidr="10.0.0.0/8"),),
    )


def web(*hosts: str, name: ServiceName = WEB) -> ServiceEndpoints:
    identity = Identity(name.namespace, name.name)
    return ServiceEndpoints(
        service=Service(name=name, ports=(ServicePort(port=80),), accounts=(identity,)),
        endpoints=tuple(Endpoint(port=80, address=Address(host, 8080), identity=identity) for host in hosts),
    )


def settle(policies: tuple[Policies, ...], runs: tuple[Endpoints, ...] = (web(),)) -> Catalog:
    catalog = Catalog()
    catalog.apply(picture("meshspec", policies), picture("endpoints", runs))
    return catalog


def admitted(catalog: Catalog) -> tuple[Ingress, ...]:
    document = catalog.documents[MESH_SERVICE.key("shop", "web")]
    assert isinstance(document, MeshService)
    return document.ingress


def said(catalog: Catalog) -> list[str]:
    return [f"{each.severity} {each.field}: {each.what}" for each in catalog.problems.get(OPENING, ())]


def bare(*addresses: str) -> Update:
    key = BARE.key(PLATFORM, NGINX.namespace, NGINX.name)
    document = (
        Document(bucket="endpoints", key=key, value=BareService(name=NGINX, addresses=addresses), revision=9)
        if addresses
        else Document(bucket="endpoints", key=key, value=None, revision=9, deleted=True)
    )
    return Update(bucket="endpoints", full=False, documents=(document,), revision=9)


def test_a_range_opens_the_port_of_the_service() -> None:
    catalog = settle((opening(),))
    assert admitted(catalog) == (Ingress(origin=OPENING, target_port=8080, ranges=("10.0.0.0/8",)),)
    assert catalog.problems == {}


def test_a_service_of_the_same_name_elsewhere_stays_closed() -> None:
    catalog = settle((opening(namespace="other"),))
    assert admitted(catalog) == ()
    found = catalog.problems[ObjectRef("IngressBackend", "other", "open")]
    assert [(each.field, each.what) for each in found] == [
        ("spec.backends", 'no Service "web" in namespace other, there is none; nobody is admitted to it')
    ]


def test_the_pods_of_a_source_service_are_followed() -> None:
    catalog = settle(
        (opening(SourceService(service=NGINX)),), (web(), BareService(name=NGINX, addresses=("10.9.0.1",)))
    )
    assert [each.ranges for each in admitted(catalog)] == [("10.9.0.1/32",)]
    catalog.apply(bare("10.9.0.2", "fd00::2"))
    assert [each.ranges for each in admitted(catalog)] == [("10.9.0.2/32", "fd00::2/128")]
    catalog.apply(bare())
    assert admitted(catalog) == ()
    assert said(catalog) == ["warning spec.sources: endpoints not found for service edge/nginx; it admits nobody"]
    catalog.apply(bare("10.9.0.3"))
    assert [each.ranges for each in admitted(catalog)] == [("10.9.0.3/32",)]
    assert catalog.problems == {}


def test_pods_with_a_sidecar_are_callers_too() -> None:
    catalog = settle((opening(SourceService(service=NGINX)),), (web(), web("10.9.0.7", name=NGINX)))
    assert [each.ranges for each in admitted(catalog)] == [("10.9.0.7/32",)]


def test_several_policies_add_up_and_one_that_goes_takes_its_own() -> None:
    catalog = settle((opening(), opening(SourceRange(cidr="192.168.0.0/16"), name="more")))
    assert [each.origin.name for each in admitted(catalog)] == ["more", "open"]
    key = INGRESS_BACKEND.key("shop", "more")
    gone = Document(bucket="meshspec", key=key, value=None, revision=9, deleted=True)
    changes = catalog.apply(Update(bucket="meshspec", full=False, documents=(gone,), revision=9))
    assert [each.origin.name for each in admitted(catalog)] == ["open"]
    assert list(changes.puts) == [MESH_SERVICE.key("shop", "web")]


def test_endpoints_that_move_open_nothing_else() -> None:
    catalog = settle((opening(),), (web("10.1.0.1"),))
    before = admitted(catalog)
    catalog.apply(picture("endpoints", (web("10.1.0.2"),)))
    assert admitted(catalog) == before
