"""Twenty-odd faults of a cluster, one at a time: each is named rightly, and says what to do."""

import base64
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec import structs

from osm.cli.bus_state import BucketState
from osm.cli.kubernetes.chart import chart_path
from osm.cli.kubernetes.check import judged
from osm.cli.kubernetes.checks.before import before, tools
from osm.cli.kubernetes.checks.facts import After, Before, Bus, Cert, HookConfiguration, Permission, Tool
from osm.cli.kubernetes.checks.gather import ABSENT, KEPT, kept, needed, roots
from osm.cli.kubernetes.checks.gather import ROOT as ROOT_SECRET
from osm.cli.kubernetes.control_plane_state import ControlPlaneState
from osm.cli.kubernetes.defining import wanted
from osm.cli.kubernetes.definitions import Definition
from osm.cli.kubernetes.kubernetes_objects import Event, Pod, Workload
from osm.cli.kubernetes.leftovers import CRDS
from osm.cli.kubernetes.meshes import Mesh
from osm.cli.kubernetes.mode import MeshConfig
from osm.cli.kubernetes.pod_problems import troubles
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import ProxyStatus, Rejection, ServiceStatus
from osm.k8s.objects import Namespace, Secret
from osm.k8s.resource import ADMISSION_POLICIES, ADMISSION_POLICY_BINDINGS, TRAFFIC_SPLITS, TRAFFIC_TARGETS
from osm.testing.authority import Authority

NOW_S = 1_800_000_000.0
DAY_S = 24 * 3600.0
VERSION = "2.0.0"
MESH = Mesh(name="osm", namespace="osm-system", version=VERSION, alone=True)
ROOT = b"-----BEGIN CERTIFICATE-----\nAAAA\nBBBB\n-----END CERTIFICATE-----\n"
OTHER_ROOT = ROOT.replace(b"AAAA", b"CCCC")
UUID = "0f0e0d0c"
PROXY = ProxyStatus(
    proxy_id=f"{UUID}.shop", identity=Identity("shop", "web"), replica="osm-xds-1", connected_at_s=NOW_S - 60
)


def namespace(name: str, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None) -> Namespace:
    marks = {"openservicemesh.io/monitored-by": "osm"} if labels is None else labels
    told = {"openservicemesh.io/sidecar-injection": "enabled"} if annotations is None else annotations
    return msgspec.convert({"metadata": {"name": name, "labels": marks, "annotations": told}}, Namespace)


def pod(name: str, *, uuid: str = UUID, **status: Any) -> Pod:
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    labels = {"osm-proxy-uuid": uuid} if uuid else {}
    metadata = {"name": name, "namespace": "shop", "labels": labels}
    return msgspec.convert({"metadata": metadata, "status": {**ready, **status}}, Pod)


def workload(name: str, ready: int = 1) -> Workload:
    status = {"readyReplicas": ready, "updatedReplicas": ready, "observedGeneration": 1}
    return msgspec.convert({"metadata": {"name": name, "generation": 1}, "status": status}, Workload)


def hooks(name: str, *, bundle: bytes = ROOT, home: str = "osm-system") -> HookConfiguration:
    service = {"namespace": home, "name": "osm-injector"}
    client = {"service": service, "caBundle": base64.b64encode(bundle).decode()}
    return msgspec.convert(
        {"metadata": {"name": name}, "webhooks": [{"name": "osm-inject.k8s.io", "clientConfig": client}]},
        HookConfiguration,
    )


def definition(kind: Any, *versions: str, ours: bool = True) -> Definition:
    labels = {"app.kubernetes.io/name": "openservicemesh.io"} if ours else {}
    served = [{"name": version, "served": True} for version in versions or (kind.version,)]
    return msgspec.convert(
        {
            "metadata": {"name": str(kind), "labels": labels},
            "spec": {"group": kind.group, "names": {"kind": kind.kind}, "versions": served},
        },
        Definition,
    )


WANTED = wanted(chart_path())

SOUND = After(
    now_s=NOW_S,
    cli_version=VERSION,
    mesh=MESH,
    meshes=(MESH,),
    standing=ControlPlaneState(workloads=(workload("osm-xds"), workload("osm-nats"))),
    config=MeshConfig(),
    definitions=tuple(definition(kind) for kind in CRDS),
    wanted=WANTED,
    mutating=(hooks("osm-webhook-osm"),),
    validating=(hooks("osm-validator-mesh-osm"),),
    roots_pem=ROOT,
    certificates=(Cert(where="the root", not_before_s=NOW_S - DAY_S, not_after_s=NOW_S + 100 * DAY_S),),
    namespaces=(namespace("shop"), namespace("kube-system", {}, {})),
    pods=(pod("web"),),
    bus=Bus(
        buckets=(BucketState(bucket="catalog", synced=True), BucketState(bucket="local", synced=False)),
        services=(
            ServiceStatus(service="xds", replica="osm-xds-1", version=VERSION, started_at_s=NOW_S, state="active"),
        ),
        proxies=(PROXY,),
    ),
)


def test_pods_that_were_refused_and_are_there_by_now_are_no_fault() -> None:
    assert not [line for line in judged(refused(made=1)) if line.level == "error"]


def test_a_sound_mesh_has_nothing_to_say() -> None:
    assert [line for line in judged(SOUND) if line.level != "ok"] == []
    assert {line.area for line in judged(SOUND)} == {
        "control plane",
        "webhooks",
        "kinds",
        "bus",
        "certificates",
        "namespaces",
        "sidecars",
        "policies",
    }


def changed(**fields: Any) -> Callable[[], After]:
    return lambda: structs.replace(SOUND, **fields)


def bus(**fields: Any) -> Callable[[], After]:
    return lambda: structs.replace(SOUND, bus=structs.replace(SOUND.bus, **fields))


def crashed() -> After:
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"exitCode": 2, "reason": "Error"}}
    status = {"name": "xds", "state": state, "lastState": last, "restartCount": 4}
    broken = pod("osm-xds-1", phase="Running", conditions=[], containerStatuses=[status])
    parts = (workload("osm-xds", ready=0),)
    return structs.replace(SOUND, standing=ControlPlaneState(workloads=parts, troubles=troubles(parts, (broken,), ())))


def refused(made: int = 0) -> After:
    """One of its ReplicaSet's pods was refused; `made`: how many of the one that it wants are there by now."""
    metadata = {"name": "web-1", "namespace": "shop"}
    wanting = msgspec.convert({"metadata": metadata, "spec": {"replicas": 1}, "status": {"replicas": made}}, Workload)
    event = {
        "metadata": {"name": "e"},
        "type": "Warning",
        "reason": "FailedCreate",
        "involvedObject": {"kind": "ReplicaSet", "namespace": "shop", "name": "web-1"},
        "message": 'failed calling webhook "osm-inject.k8s.io": connection refused',
        "lastTimestamp": datetime.fromtimestamp(NOW_S, UTC).isoformat(),
    }
    return structs.replace(SOUND, events=(msgspec.convert(event, Event),), replica_sets=(wanting,))


REJECTED = structs.replace(
    PROXY, state="rejected", rejections=(Rejection(type_url="t", resources=("listener",), reason="bad regex"),)
)
BROKEN = Problem(subject=ObjectRef("TrafficTarget", "shop", "web"), field="spec.rules", what="expected a rule")

FAULTS: dict[str, tuple[Callable[[], After], str, str, str]] = {
    "another version": (
        changed(mesh=structs.replace(MESH, version="1.9")),
        "warning",
        "is version 1.9",
        "mesh upgrade",
    ),
    "no workloads": (changed(standing=ControlPlaneState()), "error", "has no control plane", "osm install"),
    "a crash": (
        crashed,
        "error",
        "pod osm-xds-1: container xds keeps ending (exit code 2; 4 restarts)",
        "kubectl logs",
    ),
    "no MeshConfig": (changed(config=None), "warning", "there is no MeshConfig", "mesh upgrade"),
    "no injector hook": (
        changed(mutating=()),
        "error",
        "osm-webhook-osm is not there: new pods get no",
        "mesh upgrade",
    ),
    "no validating hook": (changed(validating=()), "error", "osm-validator-mesh-osm is not there", "mesh upgrade"),
    "an empty bundle": (
        changed(mutating=(hooks("osm-webhook-osm", bundle=b""),)),
        "error",
        "has no caBundle",
        "deploy/osm-injector",
    ),
    "another root": (
        changed(mutating=(hooks("osm-webhook-osm", bundle=OTHER_ROOT),)),
        "error",
        "trusts another root",
        "deploy/osm-injector",
    ),
    "a hook to elsewhere": (
        changed(mutating=(hooks("osm-webhook-osm", home="old"),)),
        "error",
        "calls a service in old",
        "mesh upgrade",
    ),
    "a missing kind": (changed(definitions=SOUND.definitions[1:]), "error", f"CRD {CRDS[0]} is not there", "upgrade"),
    "an old kind": (
        changed(
            definitions=tuple(
                definition(kind, "v1alpha1") if kind == TRAFFIC_TARGETS else definition(kind) for kind in CRDS
            )
        ),
        "error",
        "serves v1alpha1, and the mesh reads v1alpha3",
        "mesh upgrade",
    ),
    "a silent bus": (bus(why="connection refused"), "error", "the bus cannot be asked", "sts/osm-nats"),
    "an unfilled bucket": (
        bus(buckets=(BucketState(bucket="catalog", synced=False),)),
        "error",
        "bucket catalog has no full picture",
        "deploy/osm-catalog",
    ),
    "strange documents": (
        bus(buckets=(BucketState(bucket="xds", synced=True, undecodable=2),)),
        "error",
        "holds 2 documents that cannot be decoded",
        "one version",
    ),
    "a service that waits": (
        bus(services=(structs.replace(SOUND.bus.services[0], state="starting", waiting_for=("catalog",)),)),
        "error",
        "xds (osm-xds-1) is starting and waits for catalog",
        "kubectl logs",
    ),
    "an ended certificate": (
        changed(certificates=(Cert(where="the root", not_before_s=0, not_after_s=NOW_S - DAY_S),)),
        "error",
        "the root ended 1d ago",
        "new one",
    ),
    "a certificate that ends": (
        changed(certificates=(Cert(where="the root", not_before_s=0, not_after_s=NOW_S + DAY_S),)),
        "warning",
        "the root ends in 1d",
        "new one",
    ),
    "a certificate of tomorrow": (
        changed(certificates=(Cert(where="the root", not_before_s=NOW_S + DAY_S, not_after_s=NOW_S + 2 * DAY_S),)),
        "error",
        "is valid only in 1d",
        "clocks",
    ),
    "no certificate": (
        changed(certificates=(Cert(where="the root", why="it is not there"),)),
        "error",
        "the root: it is not there",
        "osm-prepare",
    ),
    "no annotation": (changed(namespaces=(namespace("shop", None, {}),)), "warning", "no annotation", "add shop"),
    "a wrong annotation": (
        changed(namespaces=(namespace("shop", None, {"openservicemesh.io/sidecar-injection": "on"}),)),
        "error",
        "is 'on', allowed are enabled and disabled; no pod can be made",
        "add shop",
    ),
    "a strict namespace": (
        changed(
            namespaces=(
                namespace(
                    "shop",
                    {"openservicemesh.io/monitored-by": "osm", "pod-security.kubernetes.io/enforce": "restricted"},
                ),
            )
        ),
        "error",
        "enforces pod security 'restricted'",
        "enforce=privileged",
    ),
    "an ignored member": (
        changed(
            namespaces=(
                namespace("shop", {"openservicemesh.io/monitored-by": "osm", "openservicemesh.io/ignore": "true"}),
            )
        ),
        "warning",
        "in the mesh and ignored at once",
        "openservicemesh.io/ignore-",
    ),
    "bare pods": (
        changed(pods=(pod("web"), pod("old", uuid=""))),
        "warning",
        "1 pod runs without a sidecar (old)",
        "rollout restart deployment -n shop",
    ),
    "refused pods": (refused, "error", "no pod of web-1 can be made: failed calling webhook", "deploy/osm-injector"),
    "a mesh that is gone": (
        changed(namespaces=(*SOUND.namespaces, namespace("left", {"openservicemesh.io/monitored-by": "gone"}))),
        "error",
        "[left] belongs to mesh [gone], which is not there",
        "--mesh-name gone",
    ),
    "an annotation alone": (
        changed(namespaces=(*SOUND.namespaces, namespace("lonely", {}))),
        "warning",
        "[lonely] has the annotation",
        "add lonely",
    ),
    "no member": (changed(namespaces=()), "warning", "no namespace is in mesh [osm]", "osm namespace add"),
    "a sidecar away": (bus(proxies=()), "error", "pod shop/web: its sidecar is not connected", "-c envoy"),
    "a rejection": (bus(proxies=(REJECTED,)), "error", "Envoy rejected listener: bad regex", "osm status"),
    "a held sidecar": (
        bus(proxies=(structs.replace(PROXY, state="held", why="no workload document"),)),
        "error",
        "gets no configuration: no workload document",
        "bus check",
    ),
    "a slow sidecar": (
        bus(proxies=(structs.replace(PROXY, state="waiting", behind_since_s=NOW_S - 30),)),
        "warning",
        "has been behind for 30 s",
        "-c envoy",
    ),
    "a proxy without a pod": (
        bus(proxies=(PROXY, structs.replace(PROXY, proxy_id="ffff.shop"))),
        "warning",
        "proxy ffff.shop (shop/web) is connected, and there is no such pod",
        "",
    ),
    "a wrong policy": (
        bus(problems=(BROKEN,)),
        "error",
        "TrafficTarget shop/web: spec.rules: expected a rule",
        "osm wait",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_with_its_remedy_and_nothing_else_is(fault: str) -> None:
    facts, level, words, remedy = FAULTS[fault]
    said = [line for line in judged(facts()) if line.level != "ok"]
    assert [line.level for line in said] == [level]
    assert words in said[0].what
    assert remedy in said[0].remedy


def tool(name: str, *, is_there: bool) -> Tool:
    return Tool(name=name, needed="it forwards ports", remedy=f"get {name}", is_there=is_there)


HELM_3_14 = structs.replace(tool("helm", is_there=True), version=(3, 14), oldest=(3, 14))

READY = Before(
    version=(1, 35),
    tools=(HELM_3_14, tool("kubectl", is_there=True)),
    permissions=(Permission(verb="create", what="secrets", allowed=True),),
    wanted=WANTED,
)

BEFOREHAND: dict[str, tuple[Before, str, str, str]] = {
    "an old server": (structs.replace(READY, version=(1, 24)), "error", "Kubernetes is 1.24", "upgrade"),
    "no helm": (
        structs.replace(READY, tools=(tool("helm", is_there=False),)),
        "error",
        "helm is not on the PATH: it forwards ports",
        "get helm",
    ),
    "a helm that cannot upgrade": (
        structs.replace(READY, tools=(structs.replace(HELM_3_14, version=(3, 9)),)),
        "error",
        "helm is 3.9, the oldest that works is 3.14",
        "get helm",
    ),
    "no permission": (
        structs.replace(READY, permissions=(Permission(verb="create", what="secrets", allowed=False),)),
        "error",
        "you may not create secrets",
        "administrator",
    ),
    "another mesh": (
        structs.replace(READY, meshes=(MESH,)),
        "error",
        "mesh [osm] in namespace [osm-system]",
        "mesh list",
    ),
    "another product": (
        structs.replace(READY, mutating=(hooks("istio-sidecar-injector"),)),
        "warning",
        "Istio injects sidecars too",
        "namespace add",
    ),
    "kinds of another origin": (
        structs.replace(READY, definitions=(definition(TRAFFIC_TARGETS, ours=False),)),
        "warning",
        "CRD traffictargets.access.smi-spec.io is of another origin",
        "",
    ),
    "old kinds of another origin": (
        structs.replace(READY, definitions=(definition(TRAFFIC_TARGETS, "v1alpha1", ours=False),)),
        "error",
        "serves v1alpha1, not",
        "kubectl label crd traffictargets.access.smi-spec.io --overwrite app.kubernetes.io/name=openservicemesh.io",
    ),
}


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ((3, 14), "helm is 3.14"),
        ((4, 0), "helm is 4.0"),
        (None, "helm does not say its version; 3.14 or newer is needed"),
    ],
)
def test_a_helm_that_will_do_or_does_not_say_its_version_is_no_fault(
    version: tuple[int, int] | None, words: str
) -> None:
    (line,) = tools(structs.replace(READY, tools=(structs.replace(HELM_3_14, version=version),)))
    assert (line.level, line.what) == ("ok", words)


def test_admission_policies_are_asked_for_where_the_chart_makes_them() -> None:
    kinds = {what for _, what in set(needed((1, 30))) - set(needed((1, 29)))}
    assert kinds == {ADMISSION_POLICIES, ADMISSION_POLICY_BINDINGS}
    text = (chart_path() / "templates" / "secrets-policy.yaml").read_text()
    assert 'semverCompare ">=1.30-0"' in text


def test_kinds_that_an_older_osm_left_are_no_fault_since_installing_brings_them_up_to_date() -> None:
    lines = list(before(structs.replace(READY, definitions=(definition(TRAFFIC_SPLITS, "v1alpha2"),))))
    assert {line.level for line in lines} == {"ok"}
    (said,) = [line.what for line in lines if line.area == "kinds"]
    assert "is an older OSM's and serves v1alpha2, not v1alpha4: osm install brings it up to date" in said


def test_a_running_mesh_is_told_of_kinds_that_its_upgrade_would_refuse() -> None:
    foreign = tuple(
        definition(kind, "v1alpha2", ours=False) if kind == TRAFFIC_SPLITS else definition(kind) for kind in CRDS
    )
    said = [line for line in judged(structs.replace(SOUND, definitions=foreign)) if str(TRAFFIC_SPLITS) in line.what]
    assert [line.remedy.startswith("have its product serve v1alpha4 too") for line in said] == [True]


def test_a_sound_cluster_can_take_a_mesh() -> None:
    assert [line for line in before(READY) if line.level != "ok"] == []


@pytest.mark.parametrize("fault", BEFOREHAND)
def test_what_is_in_the_way_of_a_mesh_is_named(fault: str) -> None:
    facts, level, words, remedy = BEFOREHAND[fault]
    said = [line for line in before(facts) if line.level != "ok"]
    assert [line.level for line in said] == [level]
    assert words in said[0].what
    assert remedy in said[0].remedy


def test_the_root_of_a_mesh_that_another_issues_for_is_the_published_one() -> None:
    published = Authority().roots_pem.decode()
    bus = Bus(roots_pem=published)
    assert roots(ABSENT, bus) == published.encode()
    assert roots(Secret(data={"ca.crt": b"ours"}), Bus()) == b"ours"
    found = kept("osm-system", ROOT_SECRET, ABSENT, bus)
    assert (found.where, found.why) == ("the mesh's root (published; it is kept elsewhere)", "")
    assert found.not_after_s > found.not_before_s
    assert kept("osm-system", ROOT_SECRET, ABSENT, Bus()).why == ABSENT
    assert kept("osm-system", KEPT[1], ABSENT, bus).why == ABSENT
