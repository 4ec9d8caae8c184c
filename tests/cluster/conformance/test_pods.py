"""What becomes of pods: probes, forms of sidecars, resources, and who gets none."""

import json
import re
import time

import pytest

from tests.cluster.conformance.policies import target
from tests.cluster.conformance.stage import CHANGED_WITHIN_S, NO_WAY, Stage, as_list
from tests.cluster.conformance.workloads import CLIENT, IDLE, IGNORED, OUTSIDE, SERVER, Object, container, pod
from tests.cluster.node import Failed, eventually

ALONE = f"{CLIENT}/alone"


def test_probes_of_every_kind_make_a_pod_ready(mesh: Stage) -> None:
    found = shown(mesh, "pod", "probed")
    assert [each["ready"] for each in found["status"]["containerStatuses"]] == [True] * 5


def test_a_tcp_probe_of_a_port_where_nobody_listens_leaves_its_pod_not_ready(mesh: Stage) -> None:
    def app() -> Object | None:
        statuses = shown(mesh, "pod", "misprobed")["status"].get("containerStatuses", ())
        return next((each for each in statuses if each["name"] == "app" and "running" in each["state"]), None)

    running = eventually(app, "a container that runs")
    assert running
    assert not running["ready"]


def test_a_job_completes(mesh: Stage) -> None:
    mesh.cluster.wait("condition=Complete", "job/once", namespace=SERVER)


def test_a_sidecar_is_native_unless_a_pod_asks_for_the_other_form(mesh: Stage) -> None:
    assert containers(shown(mesh, "pod", "guarded")) == (["osm-init", "envoy"], ["app"])
    assert containers(shown(mesh, "pod", "classic")) == (["osm-init"], ["app", "envoy"])


def test_a_sidecar_of_the_other_form_carries_traffic(mesh: Stage) -> None:
    with mesh.policies(SERVER, target("classic")):
        mesh.becomes(ALONE, f"http://classic.{SERVER}:8080/", "200")


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        ("sidecar-injection", "perhaps"),
        ("outbound-port-exclusion-list", "http"),
        ("outbound-ip-range-exclusion-list", "10.0.0.0/33"),
    ],
)
def test_a_pod_with_an_annotation_that_says_nothing_is_refused(mesh: Stage, annotation: str, found: str) -> None:
    with pytest.raises(Failed, match=f'annotation openservicemesh.io/{annotation}: .*"{found}"'):
        mesh.made(SERVER, bare(annotations={f"openservicemesh.io/{annotation}": found}))


def test_a_pod_in_its_nodes_network_passes_with_a_warning(mesh: Stage) -> None:
    asked = bare()
    asked["spec"]["hostNetwork"] = True
    said = mesh.cluster.command(
        *("sh", "-c", f"kubectl create --dry-run=server --namespace={SERVER} --output=json -f - 2>&1"),
        said=json.dumps(asked),
    )
    warning, _, made = said.partition("{")
    assert "a pod in its node's network has no traffic of its own to redirect" in warning
    assert containers(json.loads("{" + made)) == ([], ["app"])


def test_sidecars_of_new_pods_have_the_resources_of_the_mesh_config(mesh: Stage) -> None:
    assert sidecar(mesh.made(SERVER, bare()))["resources"] == {}
    wanted = {"limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}}
    with mesh.configured("sidecar", resources=wanted):
        last = time.monotonic() + CHANGED_WITHIN_S
        while (found := sidecar(mesh.made(SERVER, bare()))["resources"]) == {} and time.monotonic() < last:
            continue
    assert found == wanted


def test_new_pods_have_the_exclusions_of_the_mesh_config(mesh: Stage) -> None:
    with mesh.configured("traffic", outboundPortExclusionList=[7002], inboundPortExclusionList=[7003]):
        last = time.monotonic() + CHANGED_WITHIN_S
        while "7002" not in (rules := redirects(mesh.made(SERVER, bare()))) and time.monotonic() < last:
            continue
    for chain, number in (("OUTBOUND", 7002), ("INBOUND", 7003)):
        assert re.search(
            rf"-A OSM_PROXY_{chain} -p tcp -m multiport --dports [0-9,]*\b{number}\b[0-9,]* -j RETURN", rules
        )


def test_an_ignored_namespace_is_not_added_and_its_pods_get_no_sidecar(mesh: Stage) -> None:
    mesh.cluster.kubectl("label", "namespace", IGNORED, "openservicemesh.io/monitored-by=osm")
    with pytest.raises(Failed, match="ignore"):
        mesh.osm("namespace", "add", IGNORED)
    asked = bare(annotations={"openservicemesh.io/sidecar-injection": "enabled"})
    assert containers(mesh.made(IGNORED, asked)) == ([], ["app"])


def test_a_pod_outside_of_the_mesh_gets_no_sidecar(mesh: Stage) -> None:
    assert containers(mesh.made(OUTSIDE, bare())) == ([], ["app"])


def test_a_bootstrap_belongs_to_its_pod_and_goes_with_it(mesh: Stage) -> None:
    passing = bare("passing")
    mesh.cluster.apply(as_list([passing]), SERVER)
    uuid = shown(mesh, "pod", "passing")["metadata"]["labels"]["osm-proxy-uuid"]
    secret = f"secret/envoy-bootstrap-config-{uuid}"
    mesh.cluster.wait("create", secret, namespace=SERVER)
    owner = shown(mesh, *secret.split("/"))["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"]) == ("Pod", "passing")
    mesh.cluster.kubectl("delete", "pod", "passing", f"--namespace={SERVER}")
    mesh.cluster.wait("delete", secret, namespace=SERVER)


def test_metrics_are_found_where_a_namespace_enables_them(mesh: Stage) -> None:
    alone, guarded = shown(mesh, "pod", "alone", CLIENT), shown(mesh, "pod", "guarded")
    wanted = {"prometheus.io/scrape": "true", "prometheus.io/port": "15010", "prometheus.io/path": "/stats/prometheus"}
    assert wanted.items() <= annotations(alone).items()
    assert "prometheus.io/scrape" not in annotations(guarded)
    found = mesh.becomes(f"{OUTSIDE}/other", f"http://{alone['status']['podIP']}:15010/stats/prometheus", "200", 1)
    assert "envoy_server_live{} 1" in found[0]["text"]
    mesh.becomes(f"{OUTSIDE}/other", f"http://{guarded['status']['podIP']}:15010/stats/prometheus", NO_WAY)


def test_requests_are_counted_by_their_destination(mesh: Stage) -> None:
    def served() -> int:
        stats = mesh.stats(ALONE)
        return stats.get(f"cluster.{SERVER}/guarded|8080.upstream_rq_200", 0)

    with mesh.policies(SERVER, target("guarded")):
        mesh.becomes(ALONE, f"http://guarded.{SERVER}:8080/", "200")
        before = served()
        mesh.ask(ALONE, f"http://guarded.{SERVER}:8080/", 5)
        assert served() - before == 5


def test_the_installation_writes_the_mesh_config_that_it_was_told(mesh: Stage) -> None:
    spec = mesh.first_config["spec"]
    assert spec["traffic"]["enablePermissiveTrafficPolicyMode"] is False
    assert spec["traffic"]["enableEgress"] is False
    assert spec["observability"]["tracing"]["enable"] is False
    assert spec["certificate"]["serviceCertValidityDuration"] == "24h"
    assert spec["sidecar"]["localProxyMode"] == "Localhost"


def bare(name: str = "asked", *, annotations: dict[str, str] | None = None) -> Object:
    """A pod under the namespace's default account."""
    made = pod(name, container(IDLE), annotations=annotations)
    del made["spec"]["serviceAccountName"]
    return made


def shown(mesh: Stage, kind: str, name: str, namespace: str = SERVER) -> Object:
    return dict(json.loads(mesh.cluster.kubectl("get", kind, name, f"--namespace={namespace}", "--output=json")))


def annotations(made: Object) -> dict[str, str]:
    return dict(made["metadata"].get("annotations", {}))


def containers(made: Object) -> tuple[list[str], list[str]]:
    """Names of the init containers, and of the others."""
    spec = made["spec"]
    return [each["name"] for each in spec.get("initContainers", [])], [each["name"] for each in spec["containers"]]


def sidecar(made: Object) -> Object:
    return next(dict(each) for each in made["spec"]["initContainers"] if each["name"] == "envoy")


def redirects(made: Object) -> str:
    """All that the init container is told."""
    return next(json.dumps(each) for each in made["spec"]["initContainers"] if each["name"] == "osm-init")
