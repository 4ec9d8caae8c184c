"""Services over several platforms, workloads, mesh-wide settings, and the order of what is written."""

from osm.bus import Document, Update
from osm.contracts.catalog import MeshService
from osm.contracts.channels import MESH, MESH_SERVICE, MESH_WORKLOAD, POLICY, SERVICE
from osm.contracts.endpoints import (
    Endpoint,
    MeshIdentity,
    Service,
    ServiceEndpoints,
    ServicePort,
    Transparent,
    Workload,
)
from osm.contracts.names import Address, Identity, ServiceName
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import Mesh
from services.catalog.check import Endpoints, picture
from services.catalog.state import Catalog, Changes

WEB = ServiceName("shop", "web")
ONE, TWO = Identity("shop", "one"), Identity("shop", "two")
HTTP = ServicePort(port=80, name="http")
WORKLOAD = Workload(proxy_id="web-0.shop", identity=ONE, interception=Transparent())


def endpoint(host: str, identity: Identity = ONE) -> Endpoint:
    return Endpoint(port=80, address=Address(host, 8080), identity=identity)


def service(*ports: ServicePort, host: str = "10.0.0.1", identity: Identity = ONE, ip: str = "") -> ServiceEndpoints:
    shape = Service(name=WEB, ports=ports or (HTTP,), accounts=(identity,), virtual_ips=(ip,) if ip else ())
    return ServiceEndpoints(service=shape, endpoints=(endpoint(host, identity),))


def platforms(**said: ServiceEndpoints) -> Update:
    documents = tuple(
        Document(bucket="endpoints", key=SERVICE.key(platform, "shop", "web"), value=value, revision=1)
        for platform, value in said.items()
    )
    return Update(bucket="endpoints", full=True, documents=documents, revision=1)


def settle(*updates: Update) -> tuple[Catalog, Changes]:
    catalog = Catalog()
    return catalog, catalog.apply(*updates)


def full(*policies: AnyPolicy, runs: tuple[Endpoints, ...] = ()) -> tuple[Update, Update]:
    return picture("meshspec", policies), picture("endpoints", runs)


def web(catalog: Catalog) -> MeshService:
    document = catalog.documents[MESH_SERVICE.key("shop", "web")]
    assert isinstance(document, MeshService)
    return document


def test_a_service_of_two_platforms_is_one_to_its_clients() -> None:
    catalog, _ = settle(
        picture("meshspec", ()),
        platforms(
            local=service(HTTP, ServicePort(port=81), host="10.0.0.9", identity=TWO, ip="10.96.0.2"),
            kubernetes=service(HTTP, host="10.0.0.1", ip="10.96.0.1"),
        ),
    )
    assert web(catalog) == MeshService(
        service=Service(
            name=WEB,
            ports=(HTTP, ServicePort(port=81)),
            accounts=(ONE, TWO),
            virtual_ips=("10.96.0.1", "10.96.0.2"),
        ),
        endpoints=(endpoint("10.0.0.1"), endpoint("10.0.0.9", TWO)),
    )


def test_a_platform_that_goes_leaves_what_the_other_says() -> None:
    local, kubernetes = service(host="10.0.0.9"), service(host="10.0.0.1")
    catalog, _ = settle(picture("meshspec", ()), platforms(local=local, kubernetes=kubernetes))
    catalog.apply(platforms(local=local))
    assert web(catalog).endpoints == local.endpoints


def test_platforms_that_differ_on_a_protocol_are_a_warning_and_the_first_by_name_is_right() -> None:
    catalog, _ = settle(
        picture("meshspec", ()),
        platforms(local=service(ServicePort(port=80, protocol="tcp", explicit_port=20_001)), kubernetes=service(HTTP)),
    )
    assert web(catalog).service.ports == (ServicePort(port=80, name="http", explicit_port=20_001),)
    ((problem,),) = catalog.problems.values()
    assert str(problem) == (
        "Service shop/web: spec.ports: port 80 speaks http on platform kubernetes and tcp on platform local; "
        "it is taken for http, and must be the same everywhere"
    )
    assert problem.severity == "warning"


def test_workloads_are_passed_on_as_they_are() -> None:
    catalog, _ = settle(*full(runs=(WORKLOAD,)))
    assert catalog.documents[MESH_WORKLOAD.key("web-0.shop")] == WORKLOAD


def test_the_mesh_document_is_there_without_a_mesh_config_and_holds_the_defaults() -> None:
    catalog, _ = settle(*full())
    assert catalog.documents == {MESH.key(): Mesh()}


def test_a_deleted_mesh_config_means_the_defaults_again() -> None:
    catalog, _ = settle(*full(Mesh(permissive=False)))
    assert catalog.documents[MESH.key()] == Mesh(permissive=False)
    catalog.apply(picture("meshspec", ()))
    assert catalog.documents[MESH.key()] == Mesh()


def test_nothing_is_derived_before_both_inputs_are_read_in_full() -> None:
    policies, endpoints = full(Mesh(permissive=False), runs=(service(), MeshIdentity(identity=ONE)))
    catalog = Catalog()
    assert catalog.apply(endpoints).puts == {}
    assert catalog.missing == ("meshspec",)
    assert len(catalog.apply(policies).puts) == 3


def test_dependencies_are_written_first_and_removed_last() -> None:
    catalog, changes = settle(*full(runs=(WORKLOAD, service(), MeshIdentity(identity=ONE))))
    keys = [
        MESH.key(),
        MESH_SERVICE.key("shop", "web"),
        MESH_WORKLOAD.key("web-0.shop"),
        POLICY.key("shop", "one"),
    ]
    assert list(changes.puts) == keys
    gone = catalog.apply(picture("endpoints", ()))
    assert list(gone.deletes) == keys[:0:-1]
    assert gone.puts == {}


def test_an_endpoint_that_moves_writes_its_service_and_nothing_else() -> None:
    catalog, _ = settle(*full(runs=(service(), MeshIdentity(identity=ONE))))
    changes = catalog.apply(picture("endpoints", (service(host="10.0.0.2"), MeshIdentity(identity=ONE))))
    assert list(changes.puts) == [MESH_SERVICE.key("shop", "web")]
    assert changes.deletes == ()


def test_a_body_that_does_not_decode_leaves_the_last_good_value() -> None:
    catalog, _ = settle(*full(runs=(service(),)))
    key = SERVICE.key("check", "shop", "web")
    broken = Document(bucket="endpoints", key=key, value=None, revision=2, why="not a ServiceEndpoints")
    for whole in (False, True):
        changes = catalog.apply(Update(bucket="endpoints", full=whole, documents=(broken,), revision=2))
        assert (changes.puts, changes.deletes) == ({}, ())
