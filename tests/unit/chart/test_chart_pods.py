"""What the chart gives pods: as few rights as they need, and settings that their services know."""

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from osm.bus.nats_settings import NatsSettings
from osm.cli.kubernetes import mesh_secrets
from osm.runtime.settings import misspelt, read, read_service
from services.injector import settings as injector_settings
from services.xds import settings as xds_settings

SERVICES = ("catalog", "certmgr", "endpoints", "injector", "meshspec", "xds")
WITHOUT_TOKEN = {"osm-catalog", "osm-xds", "osm-nats"}

Object = Mapping[str, Any]
Render = Callable[..., tuple[Object, ...]]


def named(objects: tuple[Object, ...], kind: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def pods(objects: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield each["metadata"]["labels"]["app"], each["spec"]["template"]["spec"]


def environment(pod: Object) -> dict[str, str]:
    """As the process finds it; what comes from the pod itself stands for a name."""
    (container,) = pod["containers"]
    return {each["name"]: each.get("value", "from-the-pod") for each in container["env"]}


def test_no_pod_may_do_anything_to_its_node(rendered: Render) -> None:
    for name, pod in pods(rendered()):
        security = pod["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] > 0, name
        assert security["fsGroup"] == security["runAsGroup"] == security["runAsUser"], name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_a_pod_has_a_token_only_if_its_service_talks_to_kubernetes(rendered: Render) -> None:
    assert {name for name, pod in pods(rendered()) if not pod["automountServiceAccountToken"]} == WITHOUT_TOKEN
    bound = {
        subject["name"]
        for each in rendered()
        if each["kind"] in ("RoleBinding", "ClusterRoleBinding")
        for subject in each["subjects"]
    }
    assert not bound & WITHOUT_TOKEN


def test_every_pod_says_what_it_needs_and_runs_as_its_own_account(rendered: Render) -> None:
    for name, pod in pods(rendered()):
        assert pod["serviceAccountName"] == name
        assert pod["enableServiceLinks"] is False
        for container in pod["containers"]:
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name


def test_services_are_asked_how_they_are(rendered: Render) -> None:
    for service in SERVICES:
        (container,) = named(rendered(), "Deployment")[f"osm-{service}"]["spec"]["template"]["spec"]["containers"]
        assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
        assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "health"}
        assert {"name": "health", "containerPort": 9091} in container["ports"]


def test_nothing_is_killed_while_it_starts_slowly(rendered: Render) -> None:
    deployments = named(rendered(), "Deployment").values()
    for workload in (*deployments, *named(rendered(), "StatefulSet").values()):
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        start = container["startupProbe"]
        assert start["periodSeconds"] * start["failureThreshold"] >= 300, container["name"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_finds_settings_that_it_knows(service: str, rendered: Render) -> None:
    found = environment(named(rendered(), "Deployment")[f"osm-{service}"]["spec"]["template"]["spec"])
    kind = importlib.import_module(f"services.{service}.settings").Settings
    own = f"OSM_{service.upper()}_"
    assert misspelt(kind, found, service) == ()
    assert {name.removeprefix(own).lower() for name in found if name.startswith(own)} <= set(kind.__struct_fields__)
    settings = read_service(kind, found, service)
    assert (settings.bus, settings.http) == ("tls://osm-nats.osm-system.svc.cluster.local:4222", "0.0.0.0:9091")
    nats = {name.removeprefix("OSM_NATS_").lower() for name in found if name.startswith("OSM_NATS_")}
    assert nats <= set(NatsSettings.__struct_fields__)
    assert read(NatsSettings, found, "OSM_NATS_").replicas == 1


def test_one_value_has_sidecars_report_their_traffic_and_xds_look_at_it(rendered: Render) -> None:
    def found(service: str, *values: str) -> dict[str, str]:
        return environment(named(rendered(*values), "Deployment")[f"osm-{service}"]["spec"]["template"]["spec"])

    canary = "osm.xds.canary"
    wanted = (f"{canary}.trafficSeconds=30", f"{canary}.margin=0.05", f"{canary}.requests=1000000")
    xds = read_service(xds_settings.Settings, found("xds", *wanted), "xds")
    assert (xds.canary_traffic_s, xds.canary_margin, xds.canary_requests) == (30.0, 0.05, 1_000_000)
    assert read_service(injector_settings.Settings, found("injector", *wanted), "injector").load_reports
    assert not read_service(injector_settings.Settings, found("injector"), "injector").load_reports
    assert read_service(xds_settings.Settings, found("xds"), "xds").canary_traffic_s == 0


@pytest.mark.parametrize("service", ["certmgr", "endpoints", "meshspec"])
def test_a_service_that_knows_other_platforms_is_told_that_it_is_on_kubernetes(service: str, rendered: Render) -> None:
    found = environment(named(rendered(), "Deployment")[f"osm-{service}"]["spec"]["template"]["spec"])
    assert "kubernetes" in {found.get(f"OSM_{service.upper()}_PLATFORM"), found.get(f"OSM_{service.upper()}_STORE")}


def test_services_know_the_namespace_that_they_are_in(rendered: Render) -> None:
    for service in SERVICES:
        pod = named(rendered("osm.osmNamespace=elsewhere"), "Deployment")[f"osm-{service}"]["spec"]["template"]["spec"]
        if service != "catalog":  # it speaks of the mesh alone
            assert environment(pod)[f"OSM_{service.upper()}_NAMESPACE"] == "elsewhere"


def test_files_named_in_the_environment_are_in_the_secrets_that_are_mounted(rendered: Render) -> None:
    mesh = mesh_secrets.Mesh(
        namespace="osm-system", trust_domain="a.b", cluster_domain="a.b", root_secret="osm-ca-bundle"
    )
    secrets = mesh_secrets.due({}, mesh, now_s=1e9)
    for service in SERVICES:
        pod = named(rendered(), "Deployment")[f"osm-{service}"]["spec"]["template"]["spec"]
        files = set()
        mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["defaultMode"] == 0o440
                folder = mounts[volume["name"]]
                files |= {f"{folder}/{key}" for key in secrets[volume["secret"]["secretName"]]}
        wanted = {path for path in environment(pod).values() if path.startswith("/etc/osm")}
        assert wanted <= files, service


def test_the_bus_has_a_password_for_every_user_of_its_configuration(rendered: Render) -> None:
    mesh = mesh_secrets.Mesh(namespace="n", trust_domain="a.b", cluster_domain="a.b", root_secret="r")
    passwords = mesh_secrets.due({}, mesh, now_s=1e9)[mesh_secrets.BUS_USERS]
    users = named(rendered(), "ConfigMap")["osm-nats"]["data"]["users.conf"]
    asked = {line.partition("$")[2] for line in users.splitlines() if "password:" in line}
    assert asked == passwords.keys()


def test_what_the_bus_tells_without_a_password_is_told_inside_its_pod(rendered: Render) -> None:
    (container,) = named(rendered(), "StatefulSet")["osm-nats"]["spec"]["template"]["spec"]["containers"]
    assert [each["containerPort"] for each in container["ports"]] == [4222, 6222]
    assert "\nhttp: 127.0.0.1:8222\n" in named(rendered(), "ConfigMap")["osm-nats"]["data"]["nats-server.conf"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert "http://127.0.0.1:8222/healthz" in container[probe]["exec"]["command"][-1]


def test_nodes_may_be_drained_and_replicas_are_spread(rendered: Render) -> None:
    budgets = named(rendered(), "PodDisruptionBudget")
    assert budgets.keys() == {"osm-nats", *(f"osm-{service}" for service in SERVICES)}
    assert {each["spec"]["maxUnavailable"] for each in budgets.values()} == {1}
    for name, pod in pods(rendered()):
        if name != "osm-prepare":
            assert pod["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"] == {"app": name}


def test_placement_and_sizes_come_from_the_values(rendered: Render) -> None:
    objects = rendered(
        "osm.xds.replicaCount=4",
        "osm.xds.nodeSelector.disk=ssd",
        "osm.xds.tolerations[0].operator=Exists",
        "osm.xds.resource.requests.cpu=2",
        "osm.xds.podLabels.team=mesh",
        "osm.imagePullSecrets[0].name=pull",
        "osm.image.registry=example.com/osm",
        "osm.image.tag=v9",
        "osm.image.digest.certmgr=sha256:" + "a" * 64,
    )
    deployments = named(objects, "Deployment")
    xds = deployments["osm-xds"]["spec"]
    pod = xds["template"]["spec"]
    assert xds["replicas"] == 4
    assert (pod["nodeSelector"], pod["tolerations"]) == ({"disk": "ssd"}, [{"operator": "Exists"}])
    assert pod["containers"][0]["resources"]["requests"]["cpu"] == 2
    assert xds["template"]["metadata"]["labels"]["team"] == "mesh"
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["containers"][0]["image"] == "example.com/osm/osm-xds:v9"
    certmgr = deployments["osm-certmgr"]["spec"]["template"]["spec"]["containers"][0]
    assert certmgr["image"] == f"example.com/osm/osm-certmgr@sha256:{'a' * 64}"


def test_an_autoscaler_takes_the_number_of_replicas_over(rendered: Render) -> None:
    objects = rendered("osm.injector.autoScale.enable=true", "osm.injector.autoScale.maxReplicas=9")
    (scaler,) = named(objects, "HorizontalPodAutoscaler").values()
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (2, 9)
    assert "replicas" not in named(objects, "Deployment")["osm-injector"]["spec"]
