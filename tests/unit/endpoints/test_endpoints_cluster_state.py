import msgspec
import pytest

from osm.contracts.endpoints import BareService, Transparent
from osm.contracts.names import Identity
from osm.k8s import objects
from osm.testing.cluster_objects import MESHED, account, endpoint_slice, namespace, pod, service, spot
from services.endpoints import object_facts
from services.endpoints.cluster_state import ClusterState

HTTP = {"name": "http", "port": 80, "targetPort": 8080}
AT_8080 = [{"name": "http", "port": 8080}]
SHOP = "service.kubernetes.town.shop"


class Cluster:
    """A picture, fed with objects as an API server gives them."""

    def __init__(self, *, mesh="osm", control_plane="osm-system"):
        self.picture = ClusterState()
        self._scope = {"mesh": mesh, "control_plane": control_plane}

    def put(self, *things, full=False):
        """Each `thing` is a kind and an object; the step that follows from all."""
        for kind, each in things:
            self._put(kind, {_key(each): self._fact(kind, each)}, full=full)
        return self.picture.take()

    def gone(self, kind, namespace, name):
        self._put(kind, {(namespace, name): None}, full=False)
        return self.picture.take()

    def only(self, kind, *things):
        """These and no others, as after a new list."""
        self._put(kind, {_key(each): self._fact(kind, each) for each in things}, full=True)
        return self.picture.take()

    def __getitem__(self, key):
        return self.picture.documents[key]

    def __contains__(self, key):
        return key in self.picture.documents

    def endpoints(self, key=SHOP):
        return [(each.port, str(each.address)) for each in self[key].endpoints]

    def said(self):
        return [str(problem) for line in self.picture.lines.values() for problem in line.problems]

    def _put(self, kind, facts, *, full):
        put = {
            "Namespace": self.picture.put_namespaces,
            "ServiceAccount": self.picture.put_accounts,
            "Service": self.picture.put_services,
            "EndpointSlice": self.picture.put_slices,
            "Pod": self.picture.put_pods,
        }[kind]
        put(facts, full=full)

    def _fact(self, kind, each):
        seen = msgspec.convert(each, getattr(objects, kind))
        match kind:
            case "Namespace":
                return object_facts.namespace(seen, **self._scope)
            case "Service":
                return object_facts.service(seen)
            case "EndpointSlice":
                return object_facts.slice_(seen)
            case "Pod":
                return object_facts.pod(seen)
        return seen


def _key(each):
    return each["metadata"].get("namespace", ""), each["metadata"]["name"]


def shop_pod(name="shop-a", *, sidecar="a1", **more):
    return "Pod", pod("town", name, **{"labels": {"app": "shop"}, "sidecar": sidecar, "account": "shop", **more})


def shop_service(*ports, **more):
    return "Service", service("town", "shop", ports=[*(ports or [HTTP])], **{"clusterIP": "10.0.0.1", **more})


def shop_slice(*spots, **more):
    return "EndpointSlice", endpoint_slice("town", "shop", *spots, **{"ports": AT_8080, **more})


TOWN = "Namespace", namespace("town")


def town(*more, **options):
    """A meshed namespace with service, pod and slice; `more` come on top."""
    made = Cluster(**options)
    made.put(TOWN, shop_service(), shop_pod(ip="10.1.0.1"), shop_slice(spot("10.1.0.1", "shop-a")), *more)
    return made


def test_a_service_a_pod_and_an_identity_become_documents():
    made = town()
    assert sorted(made.picture.documents) == ["identity.town.shop", SHOP, "workload.a1_town"]
    shop = made[SHOP].service
    assert (shop.virtual_ips, shop.accounts) == (("10.0.0.1",), (Identity("town", "shop"),))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    assert made[SHOP].endpoints[0].identity == Identity("town", "shop")


def test_a_workload_is_there_as_soon_as_its_pod_is_and_knows_what_it_backs():
    made = Cluster()
    step = made.put(TOWN, shop_service(), shop_pod(phase="Pending"))
    workload = step.puts["workload.a1_town"]
    assert (workload.proxy_id, workload.identity, workload.interception) == (
        "a1.town",
        Identity("town", "shop"),
        Transparent(),
    )
    assert [(str(each.service), each.port, each.target_port) for each in workload.backs] == [("town/shop", 80, 8080)]


def test_documents_that_others_refer_to_come_first_and_go_last():
    made = Cluster()
    step = made.put(TOWN, shop_service(), shop_pod(), shop_slice(spot("10.1.0.1", "shop-a"), spot("10.9.9.9")))
    order = ["identity.town.shop", SHOP, "bare.kubernetes.town.shop", "workload.a1_town"]
    assert list(step.puts) == order
    step = made.put(("Namespace", namespace("town", labels={})))
    assert list(step.deletes) == ["workload.a1_town", SHOP, "identity.town.shop"]


@pytest.mark.parametrize(
    "where",
    [
        namespace("town", labels={}),
        namespace("town", labels={"openservicemesh.io/monitored-by": "another"}),
        namespace("town", labels={**MESHED, "openservicemesh.io/ignore": "true"}),
    ],
)
def test_nothing_of_a_namespace_outside_the_mesh_is_published(where):
    made = Cluster()
    made.put(("Namespace", where), shop_service(), shop_pod(), ("ServiceAccount", account("town", "shop")))
    assert made.picture.documents == {}
    assert made.picture.lines == {}


@pytest.mark.parametrize("name", ["osm-system", "mesh-control"])
def test_the_control_planes_namespaces_are_never_meshed(name):
    made = Cluster(control_plane="mesh-control")
    made.put(("Namespace", namespace(name)), ("ServiceAccount", account(name, "osm-xds")))
    assert made.picture.documents == {}


def test_a_label_brings_a_whole_namespace_in_and_its_loss_takes_it_out():
    made = town()
    before = dict(made.picture.documents)
    made.put(("Namespace", namespace("town", labels={})))
    assert made.picture.documents == {
        "bare.kubernetes.town.shop": BareService(name=before[SHOP].service.name, addresses=("10.1.0.1",))
    }
    made.put(TOWN)
    assert made.picture.documents == before


def test_a_namespaces_other_labels_change_nothing():
    made = town()
    step = made.put(("Namespace", namespace("town", labels={**MESHED, "team": "blue"})))
    assert (step.puts, step.deletes) == ({}, ())
    assert made.picture.take_lines()
    made.put(("Namespace", namespace("town", labels={**MESHED, "team": "red"})))
    assert made.picture.take_lines() == {}


def test_every_account_of_the_mesh_has_an_identity_and_every_sidecars_account_too():
    made = town(("ServiceAccount", account("town", "idle")))
    assert {"identity.town.idle", "identity.town.shop"} <= made.picture.documents.keys()
    made.gone("ServiceAccount", "town", "idle")
    assert "identity.town.idle" not in made
    made.gone("Pod", "town", "shop-a")
    assert "identity.town.shop" not in made


def test_an_account_lives_on_while_its_pods_do():
    made = town(("ServiceAccount", account("town", "shop")))
    made.gone("ServiceAccount", "town", "shop")
    assert "identity.town.shop" in made


def test_a_pod_of_several_services_backs_each_of_their_ports():
    other = (
        "Service",
        service("town", "front", selector={"app": "shop"}, ports=[{"port": 81}, {"name": "b", "port": 82}]),
    )
    backs = town(other)["workload.a1_town"].backs
    assert [(each.service.name, each.port, each.target_port) for each in backs] == [
        ("front", 81, 81),
        ("front", 82, 82),
        ("shop", 80, 8080),
    ]


def test_a_pod_without_a_service_is_a_workload_that_backs_nothing():
    made = Cluster()
    made.put(TOWN, shop_pod())
    assert made["workload.a1_town"].backs == ()


def test_a_named_target_port_is_each_pods_own():
    web = {"name": "http", "port": 80, "targetPort": "web"}
    made = Cluster()
    made.put(
        TOWN,
        shop_service(web),
        shop_pod("shop-a", sidecar="a1", ports=({"name": "web", "containerPort": 8080},)),
        shop_pod("shop-b", sidecar="b2", ports=({"name": "web", "containerPort": 9090},)),
        shop_slice(spot("10.1.0.1", "shop-a"), name="one"),
        shop_slice(spot("10.1.0.2", "shop-b"), name="two", ports=[{"name": "http", "port": 9090}]),
    )
    assert [made[f"workload.{each}_town"].backs[0].target_port for each in ("a1", "b2")] == [8080, 9090]
    assert made.endpoints() == [(80, "10.1.0.1:8080"), (80, "10.1.0.2:9090")]


def test_a_target_ports_name_that_no_pod_has_is_told_with_the_names_there_are():
    web = {"name": "http", "port": 80, "targetPort": "web"}
    made = Cluster()
    made.put(TOWN, shop_service(web), shop_pod(ports=({"name": "http", "containerPort": 8080},)))
    assert made.said() == [
        'Service town/shop: spec.ports[0].targetPort: no selected container has a port named "web"; named are http'
    ]
    assert made["workload.a1_town"].backs == ()


def test_an_endpoint_is_of_the_slice_port_that_has_the_service_ports_name():
    admin = {"name": "admin", "port": 81, "targetPort": 9090}
    made = Cluster()
    ports = [{"name": "admin", "port": 9090}, {"name": "http", "port": 8080}]
    made.put(TOWN, shop_service(HTTP, admin), shop_pod(), shop_slice(spot("10.1.0.1", "shop-a"), ports=ports))
    assert made.endpoints() == [(80, "10.1.0.1:8080"), (81, "10.1.0.1:9090")]


def test_the_single_port_needs_no_name():
    made = Cluster()
    made.put(
        TOWN, shop_service({"port": 8080}), shop_pod(), shop_slice(spot("10.1.0.1", "shop-a"), ports=[{"port": 8080}])
    )
    assert made.endpoints() == [(8080, "10.1.0.1:8080")]


def test_readiness_moves_endpoints_and_nothing_else():
    made = town()
    before = made[SHOP].service
    step = made.put(shop_slice(spot("10.1.0.1", "shop-a", ready=False)))
    assert (list(step.puts), step.deletes) == ([SHOP], ())
    assert made[SHOP].service == before
    assert made.endpoints() == []


def test_a_pods_status_alone_changes_nothing():
    made = town()
    step = made.put(shop_pod(ip="10.1.0.1", conditions=[{"type": "Ready", "status": "True"}]))
    assert (step.puts, step.deletes) == ({}, ())


def test_those_that_are_leaving_serve_while_nobody_else_does():
    leaving = spot("10.1.0.1", "shop-a", ready=False, serving=True, terminating=True)
    made = town(shop_pod("shop-b", sidecar="b2"), shop_slice(leaving))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.put(shop_slice(leaving, spot("10.1.0.2", "shop-b")))
    assert made.endpoints() == [(80, "10.1.0.2:8080")]
    made.put(shop_slice(spot("10.1.0.1", "shop-a", ready=False, serving=False, terminating=True)))
    assert made.endpoints() == []


def test_an_endpoint_of_which_nothing_is_said_is_ready():
    made = town(shop_slice({"addresses": ["10.1.0.1"], "targetRef": {"kind": "Pod", "name": "shop-a"}}))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]


def test_an_endpoint_in_two_slices_counts_once():
    made = town(shop_slice(spot("10.1.0.1", "shop-a"), name="again"))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.gone("EndpointSlice", "town", "shop-1")
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.gone("EndpointSlice", "town", "again")
    assert made.endpoints() == []


def test_an_endpoint_moves_with_the_service_its_slice_is_labelled_with():
    made = town(("Service", service("town", "bakery", selector={"app": "shop"}, ports=[HTTP])))
    moved = endpoint_slice("town", "bakery", spot("10.1.0.1", "shop-a"), ports=AT_8080, name="shop-1")
    made.put(("EndpointSlice", moved))
    assert made.endpoints() == []
    assert made.endpoints("service.kubernetes.town.bakery") == [(80, "10.1.0.1:8080")]


def test_the_zone_of_an_endpoint_is_its_locality():
    made = town(shop_slice(spot("10.1.0.1", "shop-a", zone="west-1")))
    assert made[SHOP].endpoints[0].locality == "west-1"


def test_only_pods_with_a_sidecar_are_endpoints():
    made = town(shop_pod("shop-b", sidecar=""), shop_slice(spot("10.1.0.1", "shop-a"), spot("10.1.0.2", "shop-b")))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    assert made["bare.kubernetes.town.shop"].addresses == ("10.1.0.2",)


def test_a_pod_without_a_sidecar_is_told_by_name():
    made = town(shop_pod("shop-b", sidecar=""))
    assert made.said() == [
        "Service town/shop: spec.selector: Pod shop-b runs without a sidecar, so the mesh sends no traffic there; "
        "restart to get one"
    ]
    made.gone("Pod", "town", "shop-b")
    assert made.said() == []


def test_where_nothing_is_injected_the_annotation_is_named():
    made = town(("Namespace", namespace("town", annotations={})), shop_pod("shop-b", sidecar=""))
    (problem,) = made.said()
    assert "annotate namespace town with openservicemesh.io/sidecar-injection: enabled, then restart" in problem


@pytest.mark.parametrize(
    "more",
    [
        (("Namespace", namespace("town", annotations={"openservicemesh.io/sidecar-injection": "Disabled"})),),
        (shop_pod("shop-b", sidecar="", annotations={"openservicemesh.io/sidecar-injection": "no"}),),
    ],
)
def test_a_pod_that_is_meant_to_have_no_sidecar_is_no_problem(more):
    assert town(shop_pod("shop-b", sidecar=""), *more).said() == []


def test_many_pods_without_a_sidecar_are_one_sentence():
    made = town(*(shop_pod(f"bare-{number}", sidecar="") for number in range(7)))
    (problem,) = made.said()
    assert "Pod bare-4 and 2 more run without a sidecar" in problem


def test_addresses_without_a_sidecar_are_told_outside_the_mesh_too():
    made = Cluster()
    made.put(
        ("Namespace", namespace("ingress", labels={})),
        ("Service", service("ingress", "nginx", ports=[HTTP])),
        (
            "EndpointSlice",
            endpoint_slice(
                "ingress", "nginx", spot("10.7.0.1", "nginx-a"), spot("10.7.0.2", ready=False), ports=AT_8080
            ),
        ),
    )
    assert list(made.picture.documents) == ["bare.kubernetes.ingress.nginx"]
    assert made["bare.kubernetes.ingress.nginx"].addresses == ("10.7.0.1",)


def test_a_label_that_can_be_no_proxy_id_is_no_sidecar():
    made = Cluster()
    made.put(TOWN, shop_service(), shop_pod(sidecar="Not_A_Label"))
    assert list(made.picture.documents) == [SHOP]


def test_of_pods_with_one_proxy_id_the_first_counts_and_the_other_is_told():
    made = town(shop_pod("shop-b", sidecar="a1", account="other"))
    assert made["workload.a1_town"].identity == Identity("town", "shop")
    assert made.said() == [
        "Pod town/shop-b: metadata.labels.osm-proxy-uuid: Pod shop-a has the same, and it counts; "
        "remove the label from what you have written and restart"
    ]
    made.gone("Pod", "town", "shop-a")
    assert made["workload.a1_town"].identity == Identity("town", "other")
    assert made.said() == []


def test_a_pod_that_restarts_elsewhere_keeps_its_workload_and_moves_its_endpoint():
    made = town()
    before = made["workload.a1_town"]
    made.put(shop_pod(ip="10.1.0.9"), shop_slice(spot("10.1.0.9", "shop-a")))
    assert made.endpoints() == [(80, "10.1.0.9:8080")]
    assert made["workload.a1_town"] == before


def test_a_pod_made_anew_under_its_name_is_not_the_one_in_an_old_slice():
    old, new = shop_pod(), shop_pod(account="another")
    old[1]["metadata"]["uid"], new[1]["metadata"]["uid"] = "1", "2"
    there = shop_slice(spot("10.1.0.1", "shop-a"))
    there[1]["endpoints"][0]["targetRef"]["uid"] = "1"
    made = Cluster()
    made.put(TOWN, shop_service(), old, there)
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.put(new)
    assert made.endpoints() == []


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_gone(phase):
    made = town()
    made.put(shop_pod(ip="10.1.0.1", phase=phase))
    assert "workload.a1_town" not in made
    assert made.endpoints() == []


def test_an_endpoint_waits_for_its_pod_to_be_known():
    made = Cluster()
    made.put(TOWN, shop_service(), shop_slice(spot("10.1.0.1", "shop-a")))
    assert made.endpoints() == []
    made.put(shop_pod())
    assert made.endpoints() == [(80, "10.1.0.1:8080")]


def test_a_new_cluster_ip_is_a_new_document():
    made = town()
    made.put(shop_service(clusterIP="10.0.0.2", clusterIPs=["10.0.0.2", "fd00::2"]))
    assert made[SHOP].service.virtual_ips == ("10.0.0.2", "fd00::2")


def test_a_headless_service_has_no_virtual_ip():
    made = town(shop_service(clusterIP="None", clusterIPs=["None"]))
    assert made[SHOP].service.virtual_ips == ()
    assert made[SHOP].service.pod_ips == ()
    assert made.endpoints() == [(80, "10.1.0.1:8080")]


def test_a_headless_service_with_a_tcp_port_names_its_pods_addresses_ready_or_not():
    tcp = {"name": "tcp-db", "port": 5432}
    made = town(shop_service(tcp, clusterIP="None"), shop_slice(), shop_pod("shop-b", sidecar="b2", ip="10.1.0.2"))
    assert made[SHOP].service.pod_ips == ("10.1.0.1", "10.1.0.2")
    assert made.endpoints() == []


def test_a_service_without_a_selector_is_served_by_the_pods_its_slices_name():
    made = town(shop_service(selector={}))
    assert made[SHOP].service.accounts == (Identity("town", "shop"),)
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    assert [each.port for each in made["workload.a1_town"].backs] == [80]
    made.put(shop_slice(spot("10.9.9.9")))
    assert made[SHOP].service.accounts == ()
    assert made["workload.a1_town"].backs == ()
    assert made["bare.kubernetes.town.shop"].addresses == ("10.9.9.9",)


def test_an_external_name_is_no_service_of_the_mesh():
    made = town(shop_service(type="ExternalName", externalName="example.org"))
    assert SHOP not in made
    assert made["workload.a1_town"].backs == ()


def test_a_service_of_the_same_name_elsewhere_is_another():
    made = town(
        ("Namespace", namespace("village")),
        ("Service", service("village", "shop", ports=[HTTP])),
        ("EndpointSlice", endpoint_slice("village", "shop", spot("10.1.0.1", "shop-a"), ports=AT_8080)),
    )
    assert made["service.kubernetes.village.shop"].service.accounts == ()
    assert made.endpoints("service.kubernetes.village.shop") == []


@pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
def test_ports_that_are_not_tcp_are_left_out_with_a_warning(protocol):
    dns = {"name": "dns", "port": 53, "protocol": protocol}
    made = town(shop_service(HTTP, dns), shop_slice(spot("10.1.0.1", "shop-a"), ports=[*AT_8080, {**dns, "port": 53}]))
    assert [port.port for port in made[SHOP].service.ports] == [80]
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    (line,) = [line for line in made.picture.lines.values() if line.problems]
    assert [(each.field, each.severity) for each in line.problems] == [("spec.ports[1].protocol", "warning")]


@pytest.mark.parametrize(
    ("port", "protocol", "warned"),
    [
        ({"port": 80}, "http", False),
        ({"name": "tcp-server-first-db", "port": 80}, "tcp-server-first", False),
        ({"name": "grpc", "port": 80}, "grpc", False),
        ({"name": "tcp", "port": 80, "appProtocol": "grpc"}, "grpc", False),
        ({"name": "tcp", "port": 80, "appProtocol": "mystery"}, "http", True),
    ],
)
def test_the_protocol_is_as_on_every_platform(port, protocol, warned):
    made = town(shop_service(port))
    assert made[SHOP].service.ports[0].protocol == protocol
    assert bool(made.said()) == warned


def test_both_families_of_virtual_addresses_are_kept_and_a_pod_counts_by_its_ipv4_one():
    six = shop_slice(spot("fd00::1", "shop-a"), name="shop-6", family="IPv6")
    made = town(shop_service(clusterIPs=["10.0.0.1", "fd00::9"]), six)
    assert made[SHOP].service.virtual_ips == ("10.0.0.1", "fd00::9")
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.gone("EndpointSlice", "town", "shop-1")
    assert made.endpoints() == [(80, "[fd00::1]:8080")]


def test_slices_of_names_instead_of_addresses_are_passed_over():
    made = town(shop_slice(spot("example.org", "shop-a"), family="FQDN"))
    assert made.endpoints() == []


def test_what_a_new_list_does_not_hold_is_gone():
    made = town(("ServiceAccount", account("town", "idle")))
    made.only("ServiceAccount")
    made.only("Pod")
    made.only("EndpointSlice")
    assert sorted(made.picture.documents) == [SHOP]
    made.only("Service")
    assert made.picture.documents == {}
    made.put(shop_service())
    made.only("Namespace")
    assert made.picture.documents == {}


def test_an_equal_list_changes_nothing():
    made = town()
    step = made.only("Pod", shop_pod(ip="10.1.0.1")[1])
    assert (step.puts, step.deletes) == ({}, ())


def test_what_goes_and_comes_back_between_two_steps_has_not_changed():
    made = town()
    made.picture.put_pods({("town", "shop-a"): None})
    step = made.put(shop_pod(ip="10.1.0.1"))
    assert (step.puts, step.deletes) == ({}, ())


def test_every_order_of_arrival_leads_to_the_same_documents():
    things = [TOWN, shop_service(selector={}), shop_pod(ip="10.1.0.1"), shop_slice(spot("10.1.0.1", "shop-a"))]
    there = []
    for turn in range(len(things)):
        made = Cluster()
        for each in things[turn:] + things[:turn]:
            made.put(each)
        there.append(made.picture.documents)
    assert all(each == there[0] for each in there)
    assert sorted(there[0]) == ["identity.town.shop", SHOP, "workload.a1_town"]


def test_a_services_line_names_its_meaning():
    made = town()
    before = made.picture.lines["object.endpoints.Service.town.shop"].generation
    made.put(shop_service(clusterIP="10.0.0.2"))
    assert before
    assert made.picture.lines["object.endpoints.Service.town.shop"].generation != before


def test_a_slice_that_names_a_pod_of_another_namespace_means_none_of_this_one():
    cluster = Cluster()
    there = endpoint_slice("town", "shop", spot("10.1.0.9", "shop-1"), ports=AT_8080)
    there["endpoints"][0]["targetRef"]["namespace"] = "village"
    cluster.put(
        ("Namespace", namespace("town", labels=MESHED)),
        ("Service", service("town", "shop", ports=[HTTP], selector={"app": "shop"})),
        ("Pod", pod("town", "shop-1", labels={"app": "shop"}, sidecar="u1", account="shop", ip="10.1.0.1")),
        ("EndpointSlice", there),
    )
    assert cluster.endpoints() == []
    there["endpoints"][0]["targetRef"]["namespace"] = "town"
    cluster.put(("EndpointSlice", there))
    assert cluster.endpoints() == [(80, "10.1.0.9:8080")]


def test_of_a_namespace_that_is_gone_with_all_that_was_in_it_nothing_is_kept():
    cluster = Cluster()
    cluster.put(
        ("Namespace", namespace("town", labels=MESHED)),
        ("ServiceAccount", account("town", "shop")),
        ("Service", service("town", "shop", ports=[HTTP], selector={"app": "shop"})),
        ("Pod", pod("town", "shop-1", labels={"app": "shop"}, sidecar="u1", account="shop", ip="10.1.0.1")),
        ("EndpointSlice", endpoint_slice("town", "shop", spot("10.1.0.1", "shop-1"), ports=AT_8080)),
    )
    for kind, name in (("Pod", "shop-1"), ("Service", "shop"), ("ServiceAccount", "shop"), ("EndpointSlice", "shop-1")):
        cluster.gone(kind, "town", name)
    cluster.only("EndpointSlice")
    assert cluster.picture._rooms  # the namespace itself
    cluster.gone("Namespace", "", "town")
    assert cluster.picture._rooms == {}
    assert cluster.picture.documents == {}
