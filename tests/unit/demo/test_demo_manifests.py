import importlib.util
from pathlib import Path
from typing import Any

import pytest
import yaml

DEMO = Path(__file__).parents[3] / "demo"
SETS = {
    "bookstore": sorted((DEMO / "manifests").glob("*.yaml")),
    "bookstore with the thief admitted": sorted(
        [*(DEMO / "manifests").glob("*.yaml"), DEMO / "edits" / "admit-thief.yaml"]
    ),
    "protocols": sorted((DEMO / "protocols").glob("*.yaml")),
}

Document = dict[str, Any]


@pytest.fixture(params=list(SETS.values()), ids=list(SETS))
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return [document for path in request.param for document in yaml.safe_load_all(path.read_text())]


def of_kind(documents: list[Document], kind: str) -> list[Document]:
    return [document for document in documents if document["kind"] == kind]


def names(documents: list[Document], kind: str) -> set[tuple[str, str]]:
    return {(found["metadata"]["namespace"], found["metadata"]["name"]) for found in of_kind(documents, kind)}


def pods(documents: list[Document]) -> list[tuple[str, Document]]:
    return [(found["metadata"]["namespace"], found["spec"]["template"]) for found in of_kind(documents, "Deployment")]


def test_every_object_is_there_once(documents: list[Document]) -> None:
    keys = [(d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"]) for d in documents]
    assert keys
    assert len(keys) == len(set(keys))


def test_every_namespace_exists_in_the_mesh_with_injection(documents: list[Document]) -> None:
    meshed = {
        found["metadata"]["name"]
        for found in of_kind(documents, "Namespace")
        if found["metadata"]["labels"]["openservicemesh.io/monitored-by"] == "osm"
        and found["metadata"]["annotations"]["openservicemesh.io/sidecar-injection"] == "enabled"
    }
    used = {found["metadata"]["namespace"] for found in documents if "namespace" in found["metadata"]}
    assert used - {"osm-system"} == meshed


def test_every_pod_runs_as_an_account_that_exists(documents: list[Document]) -> None:
    accounts = names(documents, "ServiceAccount")
    assert {(ns, pod["spec"]["serviceAccountName"]) for ns, pod in pods(documents)} == accounts


def test_every_service_selects_pods_that_have_its_ports(documents: list[Document]) -> None:
    for service in of_kind(documents, "Service"):
        selector = service["spec"]["selector"].items()
        selected = [
            pod
            for namespace, pod in pods(documents)
            if namespace == service["metadata"]["namespace"] and selector <= pod["metadata"]["labels"].items()
        ]
        assert selected, service["metadata"]["name"]
        for pod in selected:
            container_ports = {port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
            assert {port["port"] for port in service["spec"]["ports"]} <= container_ports


def test_every_traffic_target_names_accounts_and_routes_that_exist(documents: list[Document]) -> None:
    accounts = names(documents, "ServiceAccount")
    for target in of_kind(documents, "TrafficTarget"):
        spec, namespace = target["spec"], target["metadata"]["namespace"]
        assert spec["destination"]["namespace"] == namespace
        for party in (spec["destination"], *spec["sources"]):
            assert (party["namespace"], party["name"]) in accounts
        for rule in spec["rules"]:
            group = next(g for g in of_kind(documents, rule["kind"]) if g["metadata"]["name"] == rule["name"])
            assert group["metadata"]["namespace"] == namespace
            if "matches" in rule:
                assert set(rule["matches"]) <= {match["name"] for match in group["spec"]["matches"]}


def test_every_split_names_services_of_its_namespace(documents: list[Document]) -> None:
    services = names(documents, "Service")
    for split in of_kind(documents, "TrafficSplit"):
        backends = [backend["service"] for backend in split["spec"]["backends"]]
        for service in (split["spec"]["service"], *backends):
            assert (split["metadata"]["namespace"], service) in services


def test_every_container_runs_an_app_that_exists_and_is_told_its_address(documents: list[Document]) -> None:
    for _, pod in pods(documents):
        (container,) = pod["spec"]["containers"]
        assert container["command"][:2] == ["python3", "-m"]
        assert importlib.util.find_spec(container["command"][2]) is not None
        pod_ip = next(variable for variable in container["env"] if variable["name"] == "POD_IP")
        assert pod_ip["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
        ports = {port["containerPort"] for port in container["ports"]}
        assert container["readinessProbe"]["httpGet"]["port"] in ports


def test_every_app_has_longer_than_kubernetes_default_to_say_that_it_is_ready(documents: list[Document]) -> None:
    """On a busy node an answer takes more than the second of the default, and a shop that works would be taken out."""
    timeouts = {pod["spec"]["containers"][0]["readinessProbe"]["timeoutSeconds"] for _, pod in pods(documents)}
    assert timeouts == {3}


def test_every_upstream_variable_names_a_service_and_its_port(documents: list[Document]) -> None:
    known = {
        f"$(OSM_UPSTREAM_{namespace}_{name}_{port['port']})".replace("-", "_").upper()
        for service in of_kind(documents, "Service")
        for namespace, name in [(service["metadata"]["namespace"], service["metadata"]["name"])]
        for port in service["spec"]["ports"]
    }
    used = {
        variable["value"]
        for _, pod in pods(documents)
        for variable in pod["spec"]["containers"][0]["env"]
        if variable.get("value", "").startswith("$(OSM_UPSTREAM")
    }
    assert used <= known


def test_the_bookthief_is_admitted_by_its_own_file_alone() -> None:
    def sources(paths: list[Path]) -> set[str]:
        read = [document for path in paths for document in yaml.safe_load_all(path.read_text())]
        return {source["name"] for target in of_kind(read, "TrafficTarget") for source in target["spec"]["sources"]}

    assert "bookthief" not in sources(SETS["bookstore"])
    assert "bookthief" in sources(SETS["bookstore with the thief admitted"])


def test_the_demo_enforces_its_policies() -> None:
    (config,) = yaml.safe_load_all((DEMO / "manifests" / "mesh-config.yaml").read_text())
    assert (config["metadata"]["namespace"], config["metadata"]["name"]) == ("osm-system", "osm-mesh-config")
    assert config["spec"]["traffic"]["enablePermissiveTrafficPolicyMode"] is False


def test_a_file_read_in_order_of_names_never_precedes_its_namespace() -> None:
    for paths in (SETS["bookstore"], SETS["protocols"]):
        seen = {"osm-system"}
        for document in (d for path in paths for d in yaml.safe_load_all(path.read_text())):
            if document["kind"] == "Namespace":
                seen.add(document["metadata"]["name"])
            else:
                assert document["metadata"]["namespace"] in seen
