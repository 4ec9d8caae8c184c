"""All pods and services of these tests, as values: a few kinds of apps, each with an account of its own.

They are made at once and waited for once. Policies are not here: each test makes those that it is about.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Object = dict[str, Any]

SERVER, CLIENT, OUTSIDE, IGNORED = "conform-server", "conform-client", "conform-outside", "conform-ignored"
NAMESPACES = (SERVER, CLIENT, OUTSIDE, IGNORED)
MESHED = (SERVER, CLIENT)

REPLICAS = 5
LEAVES = tuple(f"leaf-{number}" for number in range(5))
"""Backends of a split, of two pods each, each with its own account."""
PARTS = tuple(f"part-{number}" for number in range(REPLICAS))
"""Services of one pod of `web` each: backends that share an account."""

PLAIN_IP = "10.96.0.100"
"""Of the Service outside of the mesh; from the range that is not given out by itself."""

LIMITS_PORT = 8081

APP = ("python3", "-m", "osm.testing.app")
SERVE = ("python3", "/programs/serve.py")
IDLE = ("sleep", "infinity")


def container(command: Sequence[str], name: str = "app", **more: Any) -> Object:
    return {
        "name": name,
        "image": "openservicemesh/demo:latest",
        "imagePullPolicy": "IfNotPresent",
        "command": list(command),
        **more,
    }


def pod(
    name: str,
    *containers: Object,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Object:
    """Its account is called as the pod."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name, **(labels or {})}, "annotations": dict(annotations or {})},
        "spec": {"serviceAccountName": name, "terminationGracePeriodSeconds": 0, "containers": list(containers)},
    }


def _templated(kind: str, replicas: int, made: Object, **more: Any) -> Object:
    name, labels = made["metadata"]["name"], made["metadata"]["labels"]
    template = {"metadata": {"labels": labels}, "spec": made["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template, **more}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def service(name: str, selector: Mapping[str, str], *ports: Object, ip: str = "") -> Object:
    spec: Object = {"selector": dict(selector), "ports": list(ports), **({"clusterIP": ip} if ip else {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def port(number: int, protocol: str = "http", target: int | str | None = None) -> Object:
    said = {"name": f"p{number}", "port": number, "targetPort": target or number}
    return {**said, "protocol": "UDP"} if protocol == "udp" else {**said, "appProtocol": protocol}


HTTP, TCP = port(8080), port(9000, "tcp")


def server() -> Iterator[Object]:
    """Those that are called."""
    named = [{"name": "http", "containerPort": 8080}]
    speaks = container((*APP, "8080", "8081", "tcp:9000", "first:9001"), ports=named)
    yield _templated(
        "StatefulSet", REPLICAS, pod("web", speaks), serviceName="headless", podManagementPolicy="Parallel"
    )
    first = port(9001, "tcp-server-first")
    yield service("web", {"app": "web"}, port(80, target="http"), port(8090, target=8081), TCP, first)
    yield service("web-too", {"app": "web"}, HTTP)
    yield service("headless", {"app": "web"}, HTTP, TCP, ip="None")
    yield service("whole", {"app": "web"}, HTTP, TCP)
    yield service("itself", {"app": "web"}, HTTP, TCP)
    for number, part in enumerate(PARTS):
        yield service(part, {"app": "web", "apps.kubernetes.io/pod-index": str(number)}, HTTP, TCP)
    for leaf in LEAVES:
        yield _templated("Deployment", 2, pod(leaf, container((*APP, "8080", "tcp:9000")), labels={"tier": "leaf"}))
        yield service(leaf, {"app": leaf}, HTTP, TCP)
    yield service("apex", {"tier": "leaf"}, HTTP, TCP)
    yield pod("guarded", container((*APP, "8080", "tcp:9000")))
    yield service("guarded", {"app": "guarded"}, HTTP, TCP)
    yield service("guarded-headless", {"app": "guarded"}, HTTP, ip="None")
    yield pod("echo", container(("python3", "-m", "demo.echo_server")))
    yield service("echo", {"app": "echo"}, HTTP, port(8081), port(9090, "grpc"), TCP)
    yield pod("classic", container((*APP, "8080")), annotations={"openservicemesh.io/native-sidecar": "disabled"})
    yield service("classic", {"app": "classic"}, HTTP)
    yield from probed()
    once = pod("once", container(("python3", "-c", "import osm")))
    template = {"metadata": {"labels": {"app": "once"}}, "spec": {**once["spec"], "restartPolicy": "Never"}}
    yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": {"template": template}}


def probed() -> Iterator[Object]:
    """One pod with probes of every kind, and one whose probe asks a port where nobody listens."""
    programs = {"volumeMounts": [{"name": "programs", "mountPath": "/programs"}]}

    def probes(how: Object) -> Object:
        each = {**how, "periodSeconds": 1, "timeoutSeconds": 5}
        patient = {**each, "failureThreshold": 60}  # a busy machine is no reason to start an app again
        return {"startupProbe": {**each, "failureThreshold": 120}, "readinessProbe": each, "livenessProbe": patient}

    made = pod(
        "probed",
        container((*APP, "8080"), **probes({"httpGet": {"path": "/healthy", "port": 8080}})),
        container((*APP, "tcp:9000"), "tcp", **probes({"tcpSocket": {"port": 9000}})),
        container(
            (*SERVE, "https:8443"), "https", **programs, **probes({"httpGet": {"port": 8443, "scheme": "HTTPS"}})
        ),
        container((*SERVE, "grpc:9090"), "grpc", **programs, **probes({"grpc": {"port": 9090}})),
        container((*SERVE, "grpcs:9443"), "exec", **programs, **probes({"exec": {"command": ["true"]}})),
    )
    made["spec"]["volumes"] = [{"name": "programs", "configMap": {"name": "programs"}}]
    yield made
    yield service("probed", {"app": "probed"}, port(9090, "grpc"), port(9443, "tcp"))
    yield pod("misprobed", container((*APP, "8080"), readinessProbe={"tcpSocket": {"port": 8099}, "periodSeconds": 1}))


def at_their_addresses() -> Iterator[Object]:
    """Made while the mesh's localProxyMode is PodIP."""
    bound = [{"name": "OSM_BIND_HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    yield pod("at-address", container((*APP, "8080", "tcp:9000"), env=bound))
    yield service("at-address", {"app": "at-address"}, HTTP, TCP)


def client() -> Iterator[Object]:
    """Those that call."""
    yield _templated("Deployment", REPLICAS, pod("client", container((*APP, "8080"))))
    yield service("client", {"app": "client"}, HTTP)
    yield pod("alone", container(IDLE))
    yield pod("stranger", container(IDLE))
    past = {
        "openservicemesh.io/outbound-port-exclusion-list": "7001",
        "openservicemesh.io/inbound-port-exclusion-list": "8080",
    }
    yield pod("past-ports", container((*APP, "8080", "8081")), annotations=past)
    past = {"openservicemesh.io/outbound-ip-range-exclusion-list": f"{PLAIN_IP}/32"}
    yield pod("past-range", container(IDLE), annotations=past)


def outside() -> Iterator[Object]:
    """Those that no mesh knows: a server that is a gateway too, another client, and a rate limit service."""
    programs = [{"name": "programs", "mountPath": "/programs"}]
    made = pod(
        "plain",
        container((*APP, "8080", "tcp:9000")),
        container((*SERVE, "https:8443", "authz:9191", "udp:9999"), "more", volumeMounts=programs),
    )
    made["spec"]["volumes"] = [{"name": "programs", "configMap": {"name": "programs"}}]
    yield made
    ports = (HTTP, port(7001, target=8080), port(8443, "tcp"), port(9191, "grpc"), TCP, port(9999, "udp"))
    yield service("plain", {"app": "plain"}, *ports, ip=PLAIN_IP)
    yield pod("other", container(IDLE))
    listens = {"tcpSocket": {"port": LIMITS_PORT}, "periodSeconds": 1}
    counts = container(
        ("python3", "/programs/limits.py", str(LIMITS_PORT)), volumeMounts=programs, readinessProbe=listens
    )
    made = pod("limits", counts)
    made["spec"]["volumes"] = [{"name": "programs", "configMap": {"name": "programs"}}]
    yield made
    yield service("limits", {"app": "limits"}, port(LIMITS_PORT, "grpc"))


def accounts(objects: Sequence[Object]) -> tuple[Object, ...]:
    """The accounts under which these workloads run."""
    names = {each["spec"].get("template", each)["spec"].get("serviceAccountName", "") for each in objects} - {""}
    return tuple({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}} for name in sorted(names))
