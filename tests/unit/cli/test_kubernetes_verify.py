"""What `osm verify` finds, fault by fault."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from msgspec import structs

from osm.cli.kubernetes.kubernetes_objects import Pod
from osm.cli.kubernetes.verify.command import judge, judge_ingress, judge_outside
from osm.cli.kubernetes.verify.config_dump import Believed, believed
from osm.cli.kubernetes.verify.facts import Called, End, World
from osm.cli.kubernetes.verify.result import Result, text
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import HttpRule, IngressBackend, IngressPort, IngressTls, SourceService, TrafficTarget
from osm.k8s.objects import Namespace, Service
from osm.manifests.document import Parsed

STORE_IP = "10.0.0.2"


def dump(account: str, *, chains: dict[str, list[str]], egress: bool = False, **more: Any) -> str:
    """A config dump as Envoy writes one, of the parts that are read."""
    listeners = []
    for name, found in chains.items():
        own: dict[str, Any] = {"name": name, "filter_chains": [{"name": each} for each in found]}
        if egress and name == "outbound":
            own["default_filter_chain"] = {"name": "egress"}
        listeners.append({"name": name, "active_state": {"listener": own}})
    address = {"socket_address": {"address": STORE_IP, "port_value": 80}}
    endpoints = {
        "cluster_name": "store/store|80@store/store",
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
    }
    secrets = [{"name": "service-cert"}, {"name": "trust-bundle:cluster.local"}]
    parts: list[dict[str, Any]] = [
        {"bootstrap": {}},
        {"dynamic_listeners": listeners, **more},
        {"dynamic_active_clusters": [{"cluster": {"name": "store/store|80"}}]},
        {"dynamic_endpoint_configs": [{"endpoint_config": endpoints}]},
        {"dynamic_active_secrets": secrets},
    ]
    return json.dumps({"configs": parts})


def end(name: str, dumped: str) -> End:
    labels = {"openservicemesh.io/monitored-by": "osm"}
    told = {"openservicemesh.io/sidecar-injection": "enabled"}
    namespace = msgspec.convert({"metadata": {"name": name, "labels": labels, "annotations": told}}, Namespace)
    pod = {
        "metadata": {"name": name, "namespace": name, "labels": {"osm-proxy-uuid": name, "app": name}},
        "spec": {"serviceAccountName": name},
        "status": {
            "podIP": STORE_IP,
            "conditions": [{"type": "Ready", "status": "True"}],
            "initContainerStatuses": [{"name": "envoy", "started": True, "ready": True}],
        },
    }
    return End(pod=msgspec.convert(pod, Pod), namespace=namespace, believed=believed(dumped))


BUYER = end("buyer", dump("buyer/buyer", chains={"outbound": ["outbound.store/store|80"]}))
STORE = end(
    "store", dump("store/store", chains={"inbound": ["inbound.store/store|80", "ingress.80", "ingress.81.tls"]})
)
SERVICE = msgspec.convert(
    {"metadata": {"name": "store"}, "spec": {"selector": {"app": "store"}, "ports": [{"port": 80}]}}, Service
)
CALLED = Called(namespace="store", name="store", found=SERVICE)
TARGET = TrafficTarget(
    namespace="store",
    name="t",
    destination=Identity("store", "store"),
    sources=(Identity("buyer", "buyer"),),
    rules=(HttpRule(route_group="g"),),
)
WORLD = World(mesh="osm", permissive=False, egress=False, targets=(TARGET,))


def failures(result: Result) -> Iterator[Result]:
    """The innermost steps that fail."""
    if result.status != "Success" and not result.nested:
        yield result
    for step in result.nested:
        yield from failures(step)


def without_pod_label(found: End, label: str) -> End:
    metadata = found.pod.metadata
    kept = {key: value for key, value in metadata.labels.items() if key != label}
    return structs.replace(found, pod=structs.replace(found.pod, metadata=structs.replace(metadata, labels=kept)))


def outsider(found: End) -> End:
    metadata = structs.replace(found.namespace.metadata, labels={})
    return structs.replace(found, namespace=structs.replace(found.namespace, metadata=metadata))


def test_a_call_that_works_is_a_success_in_two_lines() -> None:
    result = judge(BUYER, STORE, CALLED, WORLD)
    assert list(failures(result)) == []
    assert list(text(result))[1:3] == [
        '[+] Context: Verify if pod "buyer/buyer" can access pod "store/store" for service "store/store"',
        "Status: Success",
    ]
    assert any(line.startswith("[+++] ") for line in text(result, every=True))


NOTHING = Believed()
FAULTS: dict[str, tuple[tuple[End, End, Called, World], str]] = {
    "not in the mesh": ((outsider(BUYER), STORE, CALLED, WORLD), 'Namespace "buyer" has no label of a mesh'),
    "no sidecar": (
        (BUYER, without_pod_label(STORE, "osm-proxy-uuid"), CALLED, WORLD),
        'Pod "store/store" has no sidecar',
    ),
    "no policy": ((BUYER, STORE, CALLED, structs.replace(WORLD, targets=())), "no TrafficTarget allows buyer/buyer"),
    "no service": ((BUYER, STORE, structs.replace(CALLED, found=None), WORLD), 'Service "store/store" does not exist'),
    "another selector": ((BUYER, without_pod_label(STORE, "app"), CALLED, WORLD), "it wants app=store"),
    "no outbound listener": (
        (structs.replace(BUYER, believed=NOTHING), STORE, CALLED, WORLD),
        "by the policies in force nothing may be called",
    ),
    "no inbound listener": (
        (BUYER, structs.replace(STORE, believed=NOTHING), CALLED, WORLD),
        "by the policies in force nothing may come in",
    ),
    "another endpoint": (
        (structs.replace(BUYER, believed=structs.replace(BUYER.believed, endpoints=())), STORE, CALLED, WORLD),
        f"It knows no address at all, not {STORE_IP}",
    ),
    "no certificate": (
        (structs.replace(BUYER, believed=structs.replace(BUYER.believed, secrets=frozenset())), STORE, CALLED, WORLD),
        "Envoy has no secret service-cert",
    ),
    "refused": (
        (
            structs.replace(BUYER, believed=structs.replace(BUYER.believed, errors=(("outbound", "bad regex"),))),
            STORE,
            CALLED,
            WORLD,
        ),
        "Envoy refused its newest form: bad regex",
    ),
    "silent": ((structs.replace(BUYER, why="no answer"), STORE, CALLED, WORLD), "no answer"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_step_that_fails_is_named(fault: str) -> None:
    arguments, words = FAULTS[fault]
    result = judge(*arguments)
    assert result.status in ("Failure", "Unknown")
    reasons = [each.reason for each in failures(result)]
    assert any(words in reason for reason in reasons), reasons
    assert all(each.suggestion for each in failures(result))


def test_outside_is_reached_by_mesh_wide_egress_alone() -> None:
    assert judge_outside(BUYER, WORLD, "example.com", 443).status == "Failure"
    open_ = structs.replace(BUYER, believed=believed(dump("buyer/buyer", chains={"outbound": []}, egress=True)))
    assert judge_outside(open_, structs.replace(WORLD, egress=True), "example.com", 443).status == "Success"


GATEWAY = Called(namespace="gw", name="envoy", found=SERVICE)
REF = ObjectRef("IngressBackend", "store", "door")
DOOR = IngressBackend(
    namespace="store",
    name="door",
    backends=(IngressPort(service="store", target_port=80),),
    sources=(SourceService(service=ServiceName("gw", "envoy")),),
)


LOCKED = structs.replace(
    DOOR,
    backends=(),
    tls_backends=(IngressTls(service="store", target_port=81),),
    principals=("envoy.gw.cluster.local",),
)


@pytest.mark.parametrize(
    ("door", "gateway", "port", "words"),
    [
        (DOOR, GATEWAY, 80, ""),
        (LOCKED, GATEWAY, 81, ""),
        (structs.replace(LOCKED, sources=()), GATEWAY, 81, ""),
        (structs.replace(LOCKED, principals=()), GATEWAY, 81, "no source is an AuthenticatedPrincipal"),
        (structs.replace(LOCKED, sources=DOOR.sources), structs.replace(GATEWAY, name="other"), 81, "Its sources are"),
        (None, GATEWAY, 80, "It is not there"),
        (DOOR, structs.replace(GATEWAY, found=None), 80, "It does not"),
        (DOOR, structs.replace(GATEWAY, name="other"), 80, "Its sources are gw/envoy"),
        (DOOR, GATEWAY, 81, "It names port 80; the number is the container's port"),
        (
            structs.replace(DOOR, backends=(IngressPort(service="a", target_port=80),)),
            GATEWAY,
            80,
            'No backend of protocol http names "store"',
        ),
    ],
)
def test_ingress_is_verified_from_gateway_to_chain(
    door: IngressBackend | None, gateway: Called, port: int, words: str
) -> None:
    parsed: Parsed[AnyPolicy] = Parsed(object=door)
    protocol = "https" if door and door.tls_backends else "http"
    result = judge_ingress(gateway, STORE, CALLED, WORLD, ref=REF, parsed=parsed, port=port, protocol=protocol)
    reasons = [each.reason for each in failures(result)]
    assert any(words in reason for reason in reasons) if words else reasons == []
