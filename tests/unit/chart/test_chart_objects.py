"""The chart's other objects: rights, webhooks, the bus, what `osm prepare` is given; and which values are refused."""

import asyncio
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from click.testing import CliRunner
from typer.main import get_command

from osm.bus import nats_program
from osm.bus.permissions import render as users
from osm.cli.kubernetes import mesh_secrets
from osm.cli.kubernetes.chart import chart_path
from osm.cli.kubernetes.prepare import prepare
from osm.contracts.policy import Mesh
from osm.manifests.yaml import read
from osm.smi import parse
from osm.testing.chart import Helm, Refused
from services.injector.decide import NEVER_IN

ROOT = Path(__file__).parents[3]
EVERY_LABEL = {
    "app.kubernetes.io/name": "openservicemesh.io",
    "app.kubernetes.io/instance": "osm",
    "app.kubernetes.io/version": "2.0.0.dev0",
}
CLUSTER_WIDE = {
    "ClusterRole",
    "ClusterRoleBinding",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
}
POLICIES = {
    spec["names"]["plural"]
    for file in (chart_path() / "crds").iterdir()
    for spec in [yaml.safe_load(file.read_text())["spec"]]
}
SELECTOR: Mapping[str, Any] = {
    "matchLabels": {"openservicemesh.io/monitored-by": "osm"},
    "matchExpressions": [
        {"key": "openservicemesh.io/ignore", "operator": "DoesNotExist"},
        {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["osm-system"]},
        {"key": "control-plane", "operator": "DoesNotExist"},
    ],
}

Object = Mapping[str, Any]
Render = Callable[..., tuple[Object, ...]]


def named(objects: tuple[Object, ...], kind: str) -> dict[str, Object]:
    return {each["metadata"]["name"]: each for each in objects if each["kind"] == kind}


def rights(objects: tuple[Object, ...]) -> dict[str, set[str]]:
    """Account → "verb resource", with " NAME…" if the rule is for named objects only."""
    roles = {
        (each["kind"], each["metadata"]["name"]): each["rules"] for each in objects if each["kind"].endswith("Role")
    }
    found: dict[str, set[str]] = {}
    for each in objects:
        if each["kind"].endswith("RoleBinding"):
            (subject,) = each["subjects"]
            for rule in roles[each["roleRef"]["kind"], each["roleRef"]["name"]]:
                only = " only " + " ".join(rule["resourceNames"]) if "resourceNames" in rule else ""
                found.setdefault(subject["name"], set()).update(
                    f"{verb} {resource}{only}" for verb in rule["verbs"] for resource in rule["resources"]
                )
    return found


def test_the_chart_passes_lint(helm: Helm) -> None:
    helm.lint()
    helm.lint("osm.nats.replicaCount=3", "osm.networkPolicy.enable=true", "osm.xds.autoScale.enable=true")


def test_the_same_values_give_the_same_objects(helm: Helm) -> None:
    assert helm.render() == helm.render()


def test_the_chart_is_of_the_products_version(rendered: Render) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    said = yaml.safe_load((chart_path() / "Chart.yaml").read_text())
    assert said["appVersion"] == version
    assert said["version"] == version.replace(".dev", "-dev")


def test_every_object_says_whose_it_is_and_where(rendered: Render) -> None:
    for each in rendered():
        assert EVERY_LABEL.items() <= each["metadata"]["labels"].items(), each["metadata"]["name"]
        assert ("namespace" in each["metadata"]) != (each["kind"] in CLUSTER_WIDE), each["metadata"]["name"]


def test_another_mesh_and_namespace_reach_every_object(rendered: Render) -> None:
    objects = rendered("osm.meshName=second", "osm.osmNamespace=elsewhere")
    text = json.dumps([each for each in objects if each["kind"] != "ConfigMap"])
    assert "osm-system" not in text
    first = {(each["kind"], each["metadata"]["name"]) for each in rendered() if each["kind"] in CLUSTER_WIDE}
    second = {(each["kind"], each["metadata"]["name"]) for each in objects if each["kind"] in CLUSTER_WIDE}
    assert not first & second


def test_a_second_mesh_can_be_found_by_the_labels_of_deployments(rendered: Render) -> None:
    for values, alone in (((), "true"), (("osm.enforceSingleMesh=false",), "false")):
        for each in named(rendered(*values), "Deployment").values():
            assert each["metadata"]["labels"]["meshName"] == "osm"
            assert each["metadata"]["labels"]["enforceSingleMesh"] == alone


def test_services_have_the_rights_they_need_and_no_more(rendered: Render) -> None:
    found = rights(rendered())
    follow = ("list", "watch")
    said = {"create events", "get events", "patch events"}
    meshspec = found.pop("osm-meshspec")
    assert found == {
        "osm-certmgr": {
            "get secrets only osm-ca-bundle",
            "create configmaps",
            "get configmaps only osm-ca-granted",
            "update configmaps only osm-ca-granted",
        },
        "osm-endpoints": {
            f"{verb} {kind}"
            for verb in follow
            for kind in ("endpointslices", "namespaces", "pods", "serviceaccounts", "services")
        },
        "osm-injector": said
        | {f"{verb} {kind}" for verb in follow for kind in ("pods", "secrets")}
        | {"get namespaces", "create secrets", "patch secrets", "delete secrets"}
        | {"create leases"}
        | {f"{verb} leases only osm-injector" for verb in ("get", "list", "watch", "update")}
        | {f"{verb} mutatingwebhookconfigurations only osm-webhook-osm" for verb in ("get", "patch")}
        | {f"{verb} validatingwebhookconfigurations only osm-validator-mesh-osm" for verb in ("get", "patch")},
        "osm-prepare": found["osm-prepare"],  # see below
    }
    assert {right for right in meshspec if right.split()[0] not in ("get", *follow)} - said == {
        f"patch {kind}/status" for kind in POLICIES
    }
    assert {right.split()[1] for right in meshspec} - {f"{kind}/status" for kind in POLICIES} - {"events"} == {
        "namespaces",
        *POLICIES,
    }


def test_prepare_may_touch_the_secrets_it_makes_and_no_others(rendered: Render) -> None:
    mesh = mesh_secrets.Mesh(
        namespace="osm-system", trust_domain="a.b", cluster_domain="a.b", root_secret="osm-ca-bundle"
    )
    rules = named(rendered(), "Role")["osm-prepare"]["rules"]
    (named_rule,) = (rule for rule in rules if "resourceNames" in rule and "secrets" in rule["resources"])
    assert set(named_rule["resourceNames"]) == set(mesh_secrets.names(mesh))
    assert named_rule["verbs"] == ["get", "patch"]


def test_prepare_knows_its_arguments(rendered: Render, tmp_path: Path) -> None:
    (job,) = named(rendered("osm.trustDomain=t.example", "osm.clusterDomain=c.example"), "Job").values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["osm", "prepare"]
    app = typer.Typer()
    app.command("prepare")(prepare)
    said = CliRunner().invoke(get_command(app), [*container["args"], "--kubeconfig=/nowhere"])
    assert said.exit_code != 2, said.output
    assert "--trust-domain=t.example" in container["args"]
    assert "--access-log" in container["args"]
    assert "--cluster-domain=c.example" in container["args"]


@pytest.mark.parametrize(("value", "asked"), [("true", True), ("false", False)])
def test_access_logs_may_be_left_out(rendered: Render, value: str, asked: bool) -> None:
    (job,) = named(rendered(f"osm.enableAccessLog={value}"), "Job").values()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert ("--access-log" in container["args"]) == asked


def test_a_job_that_has_run_is_never_changed(rendered: Render) -> None:
    (before,) = named(rendered(), "Job")
    (after,) = named(rendered("osm.image.tag=v9"), "Job")
    (same,) = named(rendered("osm.enableEgress=false"), "Job")
    assert before == same != after


def test_the_first_mesh_config_is_osms(rendered: Render) -> None:
    spec = json.loads(named(rendered(), "ConfigMap")["preset-mesh-config"]["data"]["preset-mesh-config.json"])
    assert mesh_of(spec) == Mesh()


def test_values_reach_the_first_mesh_config(rendered: Render) -> None:
    objects = rendered(
        "osm.enablePermissiveTrafficPolicy=false",
        "osm.enableEgress=false",
        "osm.controllerLogLevel=debug",  # of our services, by their environment
        "osm.envoyLogLevel=off",
        "osm.maxDataPlaneConnections=7",
        "osm.certificateProvider.serviceCertValidityDuration=1h",
        "osm.tracing.enable=true",
        "osm.outboundPortExclusionList={9000,9001}",
        "osm.outboundIPRangeExclusionList={10.0.0.0/8}",
    )
    spec = json.loads(named(objects, "ConfigMap")["preset-mesh-config"]["data"]["preset-mesh-config.json"])
    mesh = mesh_of(spec)
    assert (mesh.permissive, mesh.egress, mesh.sidecar_log_level) == (False, False, "off")
    assert (mesh.max_proxies, mesh.leaf_lifetime_s) == (7, 3600)
    assert mesh.tracing is not None
    assert (mesh.tracing.address, mesh.tracing.port) == ("jaeger.osm-system.svc.cluster.local", 9411)
    assert spec["traffic"]["outboundPortExclusionList"] == [9000, 9001]
    assert spec["traffic"]["outboundIPRangeExclusionList"] == ["10.0.0.0/8"]


def mesh_of(spec: Mapping[str, Any]) -> Mesh:
    document = {
        "apiVersion": "config.openservicemesh.io/v1alpha2",
        "kind": "MeshConfig",
        "metadata": {"name": "osm-mesh-config", "namespace": "osm-system"},
        "spec": spec,
    }
    scanned = read(yaml.safe_dump(document), "preset")
    parsed = parse(scanned.documents[0])
    assert (parsed.problems, isinstance(parsed.object, Mesh)) == ((), True)
    assert isinstance(parsed.object, Mesh)
    return parsed.object


def test_pods_wait_for_a_sidecar_and_policies_for_nobody(rendered: Render) -> None:
    (mutating,) = named(rendered(), "MutatingWebhookConfiguration").values()
    (inject,) = mutating["webhooks"]
    assert mutating["metadata"]["name"] == "osm-webhook-osm"
    assert inject["failurePolicy"] == "Fail"
    assert inject["namespaceSelector"]["matchLabels"] == SELECTOR["matchLabels"]
    ignored, never, control_plane = inject["namespaceSelector"]["matchExpressions"]
    assert [ignored, control_plane] == SELECTOR["matchExpressions"][::2]
    assert set(never["values"]) == {"osm-system", *NEVER_IN}
    assert inject["clientConfig"]["service"] == {
        "namespace": "osm-system",
        "name": "osm-injector",
        "path": "/mutate-pod-creation",
        "port": 9090,
    }
    (validating,) = named(rendered(), "ValidatingWebhookConfiguration").values()
    policies, config = validating["webhooks"]
    assert validating["metadata"]["name"] == "osm-validator-mesh-osm"
    assert {policies["failurePolicy"], config["failurePolicy"]} == {"Ignore"}
    assert policies["namespaceSelector"] == SELECTOR
    assert config["namespaceSelector"] == {"matchLabels": {"kubernetes.io/metadata.name": "osm-system"}}
    assert "telemetries" in {resource for rule in config["rules"] for resource in rule["resources"]}


def test_the_webhooks_root_is_the_injectors_to_fill_in(rendered: Render) -> None:
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        for configuration in named(rendered(), kind).values():
            assert all("caBundle" not in each["clientConfig"] for each in configuration["webhooks"])


def test_every_policy_kind_is_judged_when_it_is_applied(rendered: Render) -> None:
    (validating,) = named(rendered(), "ValidatingWebhookConfiguration").values()
    judged = {
        (rule["apiGroups"][0], resource, version)
        for each in validating["webhooks"]
        for rule in each["rules"]
        for resource in rule["resources"]
        for version in rule["apiVersions"]
    }
    served = {
        (spec["group"], spec["names"]["plural"], version["name"])
        for file in (chart_path() / "crds").iterdir()
        for spec in [yaml.safe_load(file.read_text())["spec"]]
        for version in spec["versions"]
    }
    assert judged == served
    (without,) = named(rendered("osm.smi.validateTrafficTarget=false"), "ValidatingWebhookConfiguration").values()
    assert "traffictargets" not in json.dumps(without)


def test_the_bus_is_for_everyone_unless_a_network_policy_is_asked_for(rendered: Render) -> None:
    assert named(rendered(), "NetworkPolicy") == {}
    (policy,) = named(rendered("osm.networkPolicy.enable=true"), "NetworkPolicy").values()
    assert policy["spec"]["podSelector"] == {"matchLabels": {"app": "osm-nats"}}


def test_the_charts_users_are_those_of_the_channel_table() -> None:
    assert (chart_path() / "files" / "users.conf").read_text().partition("\n")[2] == users()


@pytest.mark.nats
@pytest.mark.parametrize("servers", [1, 3])
async def test_nats_server_takes_its_configuration(servers: int, rendered: Render, tmp_path: Path) -> None:
    objects = rendered(f"osm.nats.replicaCount={servers}")
    mesh = mesh_secrets.Mesh(namespace="osm-system", trust_domain="a.b", cluster_domain="a.b", root_secret="r")
    secrets = mesh_secrets.due({}, mesh, now_s=1.8e9)
    for key, body in secrets[mesh_secrets.BUS_TLS].items():
        (tmp_path / key).write_bytes(body)
    for file, text in named(objects, "ConfigMap")["osm-nats"]["data"].items():
        (tmp_path / file).write_text(text.replace("/etc/osm/tls", str(tmp_path)))
    passwords = {name: value.decode() for name, value in secrets[mesh_secrets.BUS_USERS].items()}
    checking = await asyncio.create_subprocess_exec(
        nats_program.find(),
        "-t",
        "-c",
        tmp_path / "nats-server.conf",
        env={"POD_NAME": "osm-nats-0", **passwords},
        stderr=asyncio.subprocess.PIPE,
    )
    _, words = await checking.communicate()
    assert (checking.returncode, b"is valid" in words) == (0, True), words
    stateful = named(objects, "StatefulSet")["osm-nats"]
    assert stateful["spec"]["replicas"] == servers
    for each in named(objects, "Deployment").values():
        (container,) = each["spec"]["template"]["spec"]["containers"]
        assert {"name": "OSM_NATS_REPLICAS", "value": str(servers)} in container["env"]


def test_the_store_of_the_bus_is_bounded_and_goes_with_its_pod(rendered: Render) -> None:
    volumes = named(rendered("osm.nats.storageMiB=400"), "StatefulSet")["osm-nats"]["spec"]["template"]["spec"][
        "volumes"
    ]
    assert {"name": "store", "emptyDir": {"sizeLimit": "500Mi"}} in volumes


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("osm.meshNam=x", "'meshNam' not allowed"),
        ("osm.nats.replicaCount=2", "'/osm/nats/replicaCount': value must be one of 1, 3"),
        ("osm.trustDomain=a_b", "'/osm/trustDomain'"),
        ("osm.envoyLogLevel=loud", "'/osm/envoyLogLevel': value must be one of"),
        ("osm.injector.webhookTimeoutSeconds=31", "'/osm/injector/webhookTimeoutSeconds': maximum"),
        ("osm.inboundPortExclusionList={70000}", "'/osm/inboundPortExclusionList/0'"),
        ("osm.catalog.autoScale.enable=true", "'/osm/catalog': additional properties 'autoScale' not allowed"),
        ("osm.deployGrafana=true", "osm.deployGrafana: found true, but the chart installs no Grafana"),
        ("osm.osmController.replicaCount=2", "osm.osmController: found"),
        ("contour.enabled=true", "contour: found"),
        ("osm.featureFlags.enableMeshRootCertificate=true", "MeshRootCertificates are not read; put a root of yours"),
    ],
)
def test_a_value_that_would_be_ignored_is_refused_by_name(value: str, words: str, helm: Helm) -> None:
    with pytest.raises(Refused) as refused:
        helm.render(value)
    assert words in str(refused.value)


def test_all_removed_values_are_told_at_once_and_those_that_ask_for_nothing_pass(helm: Helm) -> None:
    helm.render("osm.deployGrafana=false", "osm.enableReconciler=false", "contour.enabled=false")
    helm.render("osm.featureFlags.enableMeshRootCertificate=false")
    with pytest.raises(Refused) as refused:
        helm.render("osm.deployGrafana=true", "osm.deployJaeger=true", "osm.multicluster.x=1")
    assert all(name in str(refused.value) for name in ("osm.deployGrafana", "osm.deployJaeger", "osm.multicluster"))


def test_every_removed_value_passes_the_schema_to_be_answered() -> None:
    schema = json.loads((chart_path() / "values.schema.json").read_text())
    removed = yaml.safe_load((chart_path() / "files" / "removed.yaml").read_text())["removed"]
    for each in removed:
        found = schema
        for part in each["value"].split("."):
            found = found["properties"][part]
        assert found == {"$ref": "#/$defs/removed"}, each["value"]


def test_levels_of_osms_log_are_ours(rendered: Render) -> None:
    for osms, ours in (("trace", "debug"), ("warn", "warning"), ("panic", "error"), ("info", "info")):
        deployment = named(rendered(f"osm.controllerLogLevel={osms}"), "Deployment")["osm-xds"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        assert {"name": "OSM_LOG_LEVEL", "value": ours} in container["env"]


@pytest.mark.parametrize(("kubernetes", "policies"), [("1.29.14", 0), ("1.30.0", 1), ("1.30.5-gke.14", 1)])
def test_secrets_are_kept_from_the_injector_where_kubernetes_can(kubernetes: str, policies: int, helm: Helm) -> None:
    words = helm.render(kubernetes=kubernetes)
    objects = tuple(each for each in yaml.safe_load_all(words) if each)
    for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"):
        assert len(named(objects, kind)) == policies
