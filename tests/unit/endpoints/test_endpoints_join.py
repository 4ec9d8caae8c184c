import pytest

from osm.contracts.endpoints import Explicit, InboundPort, LocalWorkload, Transparent
from osm.contracts.names import Address, Identity
from osm.manifests.virtual_ips import virtual_ips
from services.endpoints.declared_services import offers
from services.endpoints.diff import change
from services.endpoints.state import State
from tests.unit.town_file import in_force_of

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: town}
spec:
  selector: {app: shop}
  ports:
    - {name: http, port: 80, targetPort: 8080}
"""


def state(text, *workloads):
    made = State()
    made.offer(offers(in_force_of(text)))
    made.run({each.id: each for each in workloads}, full=True)
    return made


def local(
    name="shop-0", *, account="shop", labels=(("app", "shop"),), ports=(8080,), names=(), ready=True, host="127.9.0.3"
):
    return LocalWorkload(
        id=f"{name}.town",
        identity=Identity("town", account),
        labels=labels,
        port_names=names,
        interception=Explicit(
            http_proxy=Address(host, 15001),
            outbound_host=host,
            inbound=tuple(
                InboundPort(target_port=port, listen=Address(host, port), app=Address("127.9.0.2", port))
                for port in ports
            ),
        ),
        ready=ready,
    )


def document(made, key="service.local.town.shop"):
    return made.documents[key]


def said(made):
    return [str(each) for each in made.problems]


def test_an_endpoint_is_where_the_sidecar_listens():
    (endpoint,) = document(state(SERVICE, local())).endpoints
    assert (endpoint.port, str(endpoint.address), str(endpoint.identity)) == (80, "127.9.0.3:8080", "town/shop")


def test_accounts_do_not_follow_readiness_and_endpoints_do():
    made = document(state(SERVICE, local(ready=False)))
    assert made.service.accounts == (Identity("town", "shop"),)
    assert made.endpoints == ()


def test_workloads_without_the_labels_are_not_selected():
    made = state(SERVICE, local(labels=(("app", "other"),)))
    assert document(made).endpoints == ()
    assert made.documents["workload.shop-0_town"].backs == ()


def test_a_workload_of_another_namespace_is_not_selected():
    made = State()
    made.offer(offers(in_force_of(SERVICE.replace("namespace: town", "namespace: village"))))
    made.run({"shop-0.town": local()}, full=True)
    assert document(made, "service.local.village.shop").endpoints == ()


def test_a_workload_knows_what_it_backs_before_it_is_ready():
    backed = document(state(SERVICE, local(ready=False)), "workload.shop-0_town").backs
    assert [(str(each.service), each.port, each.target_port) for each in backed] == [("town/shop", 80, 8080)]


def test_a_target_port_may_be_a_name():
    text = SERVICE.replace("targetPort: 8080", "targetPort: web")
    made = state(text, local(names=(("web", 8080),)))
    assert [each.address.port for each in document(made).endpoints] == [8080]
    assert said(made) == []


def test_an_unknown_target_port_name_is_told_with_the_names_there_are():
    made = state(SERVICE.replace("targetPort: 8080", "targetPort: web"), local(names=(("http", 8080),)))
    assert said(made) == [
        "town.yaml:8: Service town/shop: spec.ports[0].targetPort: "
        'no selected container has a port named "web"; named are http'
    ]


def test_a_target_port_that_no_container_declares_is_told_with_the_line_to_add():
    (problem,) = state(SERVICE, local(ports=(9090,))).problems
    assert "add `- containerPort: 8080`" in problem.what


def test_nothing_is_wrong_with_a_service_whose_workloads_are_not_there_yet():
    assert said(state(SERVICE)) == []


@pytest.mark.parametrize(
    ("port", "protocol"),
    [
        ("{name: tcp-server-first-db, port: 80}", "tcp-server-first"),
        ("{name: tcp-db, port: 80}", "tcp"),
        ("{name: grpc, port: 80}", "grpc"),
        ("{name: grpcish, port: 80}", "http"),
        ("{port: 80}", "http"),
        ("{name: tcp, port: 80, appProtocol: grpc}", "grpc"),
        ("{port: 80, appProtocol: kubernetes.io/h2c}", "http"),
        ("{port: 80, appProtocol: https}", "tcp"),
        ("{port: 80, appProtocol: mystery}", "http"),
    ],
)
def test_the_protocol_is_app_protocol_then_name_prefix_then_http(port, protocol):
    made = state(SERVICE.replace("{name: http, port: 80, targetPort: 8080}", port))
    assert document(made).service.ports[0].protocol == protocol


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("  selector: {app: shop}\n", "", "spec.selector: a Service without a selector has no endpoints"),
        ("port: 80,", "port: 80, protocol: UDP,", "spec.ports[0].protocol: found UDP; the mesh carries TCP only"),
        ("port: 80,", "port: 80, appProtocol: mystery,", 'spec.ports[0].appProtocol: found "mystery", taken as http'),
        ("  selector:", "  type: ExternalName\n  selector:", "spec.type: an ExternalName Service has no endpoints"),
        ("namespace: town", "namespace: town, label: x", "metadata.label: unknown field"),
    ],
)
def test_a_services_mistake_is_told_with_file_and_line(old, new, what):
    result = in_force_of(SERVICE.replace(old, new))
    (problem,) = [*result.problems, *offers(result).problems]
    assert what in str(problem)
    assert problem.line is not None
    assert problem.file == "town.yaml"


def test_only_the_udp_port_of_a_service_is_left_out():
    text = SERVICE + "    - {name: dns, port: 53, protocol: UDP}\n"
    assert [port.port for port in document(state(text)).service.ports] == [80]


def test_the_last_good_service_stays_while_its_text_is_broken():
    before = in_force_of(SERVICE)
    after = in_force_of(SERVICE.replace("port: 80", 'port: "80"'), before)
    assert len(offers(after).services) == 1
    assert "spec.ports[0].port" in str(after.problems[0])


def test_accounts_of_manifests_and_of_workloads_are_meshed():
    text = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: idle, namespace: town}\n"
    identities = [key for key in state(text, local()).documents if key.startswith("identity.")]
    assert identities == ["identity.town.idle", "identity.town.shop"]


def test_nothing_of_an_ignored_namespace_is_meshed():
    ignored = (
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: town, labels: {openservicemesh.io/ignore: 'true'}}\n"
    )
    assert state(SERVICE + ignored, local()).documents == {}


def test_identities_of_the_control_plane_are_reserved():
    made = state("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: osm-xds, namespace: osm-system}\n")
    assert made.documents == {}
    assert "reserved for the control plane" in said(made)[0]


def test_a_readiness_change_rewrites_one_service_document_only():
    other = SERVICE.replace("name: shop", "name: bakery").replace("app: shop", "app: bakery")
    made = state(f"{SERVICE}---{other}", local(), local("shop-1", host="127.9.0.5"))
    before = made.documents
    made.run({"shop-0.town": local(ready=False)}, full=False)
    step = change(before, made.documents)
    assert (list(step.puts), step.deletes) == (["service.local.town.shop"], ())


def test_an_equal_workload_changes_nothing():
    made = state(SERVICE, local())
    before = made.documents
    made.run({"shop-0.town": local()}, full=True)
    assert change(before, made.documents).puts == {}


def test_what_went_is_deleted_in_reverse_order():
    made = state(SERVICE, local())
    before = made.documents
    made.offer(offers(in_force_of("")))
    made.run({}, full=True)
    assert change(before, made.documents).deletes == (
        "workload.shop-0_town",
        "service.local.town.shop",
        "identity.town.shop",
    )


def transparent(*, ports=(), names=()):
    return LocalWorkload(
        id="shop-0.town",
        identity=Identity("town", "shop"),
        labels=(("app", "shop"),),
        port_names=names,
        interception=Transparent(),
        host="10.77.0.9",
        ready=True,
    )


def test_a_workload_has_its_labels_in_order():
    made = state(SERVICE, local(labels=(("tier", "web"), ("app", "shop"))))
    assert document(made, "workload.shop-0_town").labels == (("app", "shop"), ("tier", "web"))


def test_a_transparent_workload_is_reached_at_its_own_address():
    (endpoint,) = document(state(SERVICE, transparent())).endpoints
    assert (endpoint.port, str(endpoint.address)) == (80, "10.77.0.9:8080")


def test_a_transparent_workload_without_the_named_port_is_told():
    made = state(SERVICE.replace("8080", "web"), transparent(names=(("admin", 9000),)))
    assert document(made).endpoints == ()
    assert 'no selected container has a port named "web"; named are admin' in said(made)[0]


def test_services_have_addresses_in_the_isolated_mode_alone():
    made = State()
    made.offer(offers(in_force_of(SERVICE), isolated=True))
    assert document(made).service.virtual_ips == (virtual_ips([("town", "shop")])["town", "shop"],)
    made.offer(offers(in_force_of(SERVICE)))
    assert document(made).service.virtual_ips == ()
