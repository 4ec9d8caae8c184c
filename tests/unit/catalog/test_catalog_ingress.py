"""Who is admitted from outside the mesh: by which policy, from where, and what follows when addresses change."""

from osm.bus import Document, Update
from osm.contracts.catalog import Ingress, MeshService, TlsIngress
from osm.contracts.channels import BARE, INGRESS_BACKEND, MESH_SERVICE
from osm.contracts.endpoints import BareService, Endpoint, Service, ServiceEndpoints, ServicePort
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import IngressBackend, IngressPort, IngressTls, SourceRange, SourceService
from services.catalog.check import PLATFORM, Endpoints, picture
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


def settle(policies: tuple[AnyPolicy, ...], runs: tuple[Endpoints, ...] = (web(),)) -> Catalog:
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


def served_over_tls(
    *sources: SourceService | SourceRange,
    name: str = "open",
    hosts: tuple[str, ...] = (),
    any_client: bool = False,
    principals: tuple[str, ...] = ("gateway.edge.cluster.local",),
) -> IngressBackend:
    backend = IngressTls(service="web", target_port=8080, hosts=hosts, any_client=any_client)
    return IngressBackend(
        namespace="shop", name=name, backends=(), sources=sources, tls_backends=(backend,), principals=principals
    )


def admitted_over_tls(catalog: Catalog) -> tuple[TlsIngress, ...]:
    document = catalog.documents[MESH_SERVICE.key("shop", "web")]
    assert isinstance(document, MeshService)
    assert document.ingress == ()
    return document.tls_ingress


def test_over_tls_a_principal_comes_from_anywhere_unless_a_source_says_where() -> None:
    (anywhere,) = admitted_over_tls(settle((served_over_tls(hosts=("shop.example",)),)))
    assert anywhere == TlsIngress(
        origin=OPENING,
        target_port=8080,
        ranges=("0.0.0.0/0", "::/0"),
        hosts=("shop.example",),
        principals=("gateway.edge.cluster.local",),
    )
    (there,) = admitted_over_tls(settle((served_over_tls(SourceRange(cidr="10.0.0.0/8")),)))
    assert there.ranges == ("10.0.0.0/8",)


def test_over_tls_a_source_without_an_address_admits_nobody() -> None:
    catalog = settle((served_over_tls(SourceService(service=NGINX)),))
    assert admitted_over_tls(catalog) == ()
    assert said(catalog) == ["warning spec.sources: endpoints not found for service edge/nginx; it admits nobody"]
    catalog.apply(bare("10.9.0.1"))
    assert [each.ranges for each in admitted_over_tls(catalog)] == [("10.9.0.1/32",)]


def test_over_tls_nobody_is_admitted_without_a_principal_unless_any_client_is() -> None:
    inside = SourceRange(cidr="10.0.0.0/8")
    assert admitted_over_tls(settle((served_over_tls(inside, principals=()),))) == ()
    (entry,) = admitted_over_tls(settle((served_over_tls(inside, any_client=True),)))
    assert entry == TlsIngress(origin=OPENING, target_port=8080, ranges=("10.0.0.0/8",), any_client=True)


def test_of_two_policies_for_one_name_the_one_that_asks_for_certificates_stands() -> None:
    lax = served_over_tls(hosts=("a.example", "b.example"), any_client=True)
    strict = served_over_tls(name="strict", hosts=("b.example", "c.example"))
    catalog = settle((lax, strict))
    assert [each.origin.name for each in admitted_over_tls(catalog)] == ["strict"]
    assert said(catalog) == [
        "error spec.backends: web:8080 asks for client certificates in IngressBackend shop/strict, which serves the "
        "same sniHosts; nobody is admitted to it without one"
    ]
    key = INGRESS_BACKEND.key("shop", "strict")
    gone = Document(bucket="meshspec", key=key, value=None, revision=9, deleted=True)
    catalog.apply(Update(bucket="meshspec", full=False, documents=(gone,), revision=9))
    assert [each.origin.name for each in admitted_over_tls(catalog)] == ["open"]
    assert said(catalog) == []


def test_policies_for_other_names_or_of_one_mind_add_up() -> None:
    lax = served_over_tls(hosts=("a.example",), any_client=True)
    others = (
        served_over_tls(name="any"),
        served_over_tls(name="below", hosts=("*.example",)),
        served_over_tls(name="like", hosts=("a.example",), any_client=True),
    )
    catalog = settle((lax, *others))
    assert [each.origin.name for each in admitted_over_tls(catalog)] == ["any", "below", "like", "open"]
    assert catalog.problems == {}
