"""What lies outside of the mesh: calls to it, calls from it, and traffic that goes past the sidecar."""

import pytest

from tests.cluster.conformance.policies import egress, ingress, opening, target
from tests.cluster.conformance.stage import NO_WAY, Stage
from tests.cluster.conformance.workloads import CLIENT, OUTSIDE, PLAIN_IP, SERVER

ALONE, STRANGER = f"{CLIENT}/alone", f"{CLIENT}/stranger"
PLAIN = f"plain.{OUTSIDE}"
GATEWAY, OTHER = f"{OUTSIDE}/plain", f"{OUTSIDE}/other"
THERE_AND_BACK = "there and back"
GUARDED = f"http://guarded.{SERVER}:8080/"
SECURED = f"https://guarded.{SERVER}:8080/"
PRINCIPAL = "gateway.conform-outside.cluster.local"


@pytest.mark.parametrize(
    ("url", "word"),
    [
        (f"http://plain.{OUTSIDE}:8080/", "200"),
        (f"https://plain.{OUTSIDE}:8443/", "200"),
        (f"tcp://plain.{OUTSIDE}:9000", THERE_AND_BACK),
    ],
)
def test_what_is_outside_is_reached_with_egress_alone(mesh: Stage, url: str, word: str) -> None:
    mesh.becomes(ALONE, url, NO_WAY)
    with mesh.configured("traffic", enableEgress=True):
        mesh.becomes(ALONE, url, word)
    mesh.becomes(ALONE, url, NO_WAY)


def test_egress_opens_nothing_inside(mesh: Stage) -> None:
    with mesh.configured("traffic", enableEgress=True):
        mesh.becomes(ALONE, f"http://plain.{OUTSIDE}:8080/", "200")
        mesh.becomes(ALONE, GUARDED, NO_WAY)


def test_a_host_outside_is_reached_over_http_by_policy_and_no_other_name(mesh: Stage) -> None:
    url = f"http://{PLAIN}:8080/"
    mesh.becomes(ALONE, url, NO_WAY)
    with mesh.policies(CLIENT, egress("http", 8080, hosts=(PLAIN,))):
        mesh.becomes(ALONE, url, "200")
        mesh.becomes(ALONE, f"http://{PLAIN_IP}:8080/", "403")
        mesh.becomes(ALONE, f"http://{PLAIN}:7001/", NO_WAY)
        mesh.becomes(STRANGER, url, NO_WAY)
    mesh.becomes(ALONE, url, NO_WAY)


def test_routes_say_which_requests_leave_the_mesh(mesh: Stage) -> None:
    url = f"http://{PLAIN}:8080/open"
    with mesh.policies(CLIENT, opening("outside"), egress("http", 8080, hosts=(PLAIN,), group="outside")):
        mesh.becomes(ALONE, url, "200")
        mesh.becomes(ALONE, f"http://{PLAIN}:8080/closed", "404")
    mesh.becomes(ALONE, url, NO_WAY)


def test_a_host_outside_is_reached_over_tls_by_the_name_it_is_asked_for(mesh: Stage) -> None:
    url = f"https://{PLAIN}:8443/"
    mesh.becomes(ALONE, url, NO_WAY)
    with mesh.policies(CLIENT, egress("https", 8443, hosts=(PLAIN,))):
        mesh.becomes(ALONE, url, "200")
        mesh.becomes(ALONE, f"https://{PLAIN_IP}:8443/", NO_WAY)
        mesh.becomes(STRANGER, url, NO_WAY)
    mesh.becomes(ALONE, url, NO_WAY)


@pytest.mark.parametrize("protocol", ["tcp", "tcp-server-first"])
def test_an_address_outside_is_reached_over_tcp_by_policy_and_no_other(mesh: Stage, protocol: str) -> None:
    url = f"tcp://{PLAIN}:9000"
    mesh.becomes(ALONE, url, NO_WAY)
    with mesh.policies(CLIENT, egress(protocol, 9000, ranges=(f"{PLAIN_IP}/32",))):
        mesh.becomes(ALONE, url, THERE_AND_BACK)
        mesh.becomes(ALONE, f"tcp://{address(mesh, GATEWAY)}:9000", NO_WAY)
        mesh.becomes(STRANGER, url, NO_WAY)
    mesh.becomes(ALONE, url, NO_WAY)


def test_egress_policies_hold_in_permissive_mode(mesh: Stage) -> None:
    with (
        mesh.configured("traffic", enablePermissiveTrafficPolicyMode=True),
        mesh.policies(CLIENT, egress("http", 8080, hosts=(PLAIN,))),
    ):
        mesh.becomes(ALONE, f"http://{PLAIN}:8080/", "200")
        mesh.becomes(STRANGER, f"http://{PLAIN}:8080/", f"403|{NO_WAY}")  # the port is a headless service's too


def test_a_source_service_comes_in_and_nobody_else(mesh: Stage) -> None:
    mesh.becomes(GATEWAY, GUARDED, NO_WAY)
    with mesh.policies(SERVER, ingress("guarded", 8080, {"kind": "Service", "name": "plain", "namespace": OUTSIDE})):
        mesh.becomes(GATEWAY, GUARDED, "200")
        mesh.becomes(OTHER, GUARDED, "403")
    mesh.becomes(GATEWAY, GUARDED, NO_WAY)


def test_a_source_range_comes_in_and_nobody_else(mesh: Stage) -> None:
    with mesh.policies(SERVER, ingress("guarded", 8080, {"kind": "IPRange", "name": f"{address(mesh, OTHER)}/32"})):
        mesh.becomes(OTHER, GUARDED, "200")
        mesh.becomes(GATEWAY, GUARDED, "403")


def test_over_https_a_listed_certificate_comes_in_and_nobody_else(mesh: Stage) -> None:
    """The certificate is the one that the mesh keeps for its gateway."""
    listed = {"kind": "AuthenticatedPrincipal", "name": PRINCIPAL}
    secret = {"name": "gateway-client-cert", "namespace": OUTSIDE}
    gateway = {"subjectAltNames": ["gateway.example", PRINCIPAL], "validityDuration": "1h", "secret": secret}
    with mesh.configured("certificate", ingressGateway=gateway):
        shown = mesh.pair(OUTSIDE, secret["name"])
        with mesh.policies(SERVER, ingress("guarded", 8080, listed, tls={})):
            mesh.becomes(GATEWAY, SECURED, "200", certificate=shown)
            mesh.becomes(GATEWAY, SECURED, NO_WAY)
        with mesh.policies(SERVER, ingress("guarded", 8080, {**listed, "name": "another.example"}, tls={})):
            mesh.becomes(GATEWAY, SECURED, "403", certificate=shown)


def test_over_https_nobody_is_asked_for_a_certificate_where_that_is_skipped(mesh: Stage) -> None:
    here = {"kind": "IPRange", "name": f"{address(mesh, OTHER)}/32"}
    with mesh.policies(SERVER, ingress("guarded", 8080, here, tls={"skipClientCertValidation": True})):
        mesh.becomes(OTHER, SECURED, "200")
        mesh.becomes(GATEWAY, SECURED, "403")
        mesh.becomes(OTHER, GUARDED, NO_WAY)


def test_an_ingress_backend_opens_its_own_port_alone(mesh: Stage) -> None:
    with mesh.policies(SERVER, ingress("web", 8081, {"kind": "IPRange", "name": f"{address(mesh, OTHER)}/32"})):
        mesh.becomes(OTHER, f"http://web.{SERVER}:8090/", "200")
        mesh.becomes(OTHER, f"http://web.{SERVER}:80/", NO_WAY)


def test_an_authorizer_outside_is_asked_about_what_is_let_in(mesh: Stage) -> None:
    """From the mesh and from outside; not about who is not let in anyway."""
    asked = {"enable": True, "address": f"plain.{OUTSIDE}.svc.cluster.local", "port": 9191}
    source = ingress("guarded", 8080, {"kind": "IPRange", "name": f"{address(mesh, OTHER)}/32"})
    with mesh.policies(SERVER, target("guarded"), source):
        for caller in (ALONE, OTHER):
            mesh.becomes(caller, f"{GUARDED}closed", "200")
        with mesh.configured("traffic", inboundExternalAuthorization=asked):
            for caller in (ALONE, OTHER):
                mesh.becomes(caller, f"{GUARDED}closed", "403")
                mesh.becomes(caller, f"{GUARDED}open", "200")
        mesh.becomes(ALONE, f"{GUARDED}closed", "200")


def test_an_excluded_port_goes_past_the_sidecar(mesh: Stage) -> None:
    mesh.becomes(f"{CLIENT}/past-ports", f"http://{PLAIN_IP}:7001/", "200")
    mesh.becomes(f"{CLIENT}/past-ports", f"http://{PLAIN_IP}:8080/", NO_WAY)


def test_an_excluded_port_is_open_to_all(mesh: Stage) -> None:
    excluded = address(mesh, f"{CLIENT}/past-ports")
    mesh.becomes(OTHER, f"http://{excluded}:8080/", "200")
    mesh.becomes(OTHER, f"http://{excluded}:8081/", NO_WAY)


def test_an_excluded_range_goes_past_the_sidecar(mesh: Stage) -> None:
    mesh.becomes(f"{CLIENT}/past-range", f"http://{PLAIN_IP}:8080/", "200")
    mesh.becomes(f"{CLIENT}/past-range", f"http://{address(mesh, GATEWAY)}:8080/", NO_WAY)


def test_udp_is_left_alone(mesh: Stage) -> None:
    mesh.becomes(ALONE, f"udp://plain.{OUTSIDE}:9999", THERE_AND_BACK)


def test_names_are_resolved_by_udp_and_not_more_than_that(mesh: Stage) -> None:
    found = mesh.ask(ALONE, "http://beyond.example/")
    assert found == [{"word": "unresolved"}]


def address(mesh: Stage, pod: str) -> str:
    namespace, name = pod.split("/")
    return mesh.cluster.kubectl("get", "pod", name, f"--namespace={namespace}", "--output=jsonpath={.status.podIP}")
