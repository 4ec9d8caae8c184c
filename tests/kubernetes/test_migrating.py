"""What docs/migrating.md promises, before a real API server that holds what OSM 1.2 leaves behind.

Beside the other tests of definitions, because it needs a server of its own: those of the session are ours from the
beginning, and here they begin as OSM's.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from osm.cli.policy import problems_of
from osm.k8s.resource import CRDS, TRAFFIC_SPLITS
from osm.testing.chart import Helm
from osm.testing.kubernetes import ApiServer, api_server
from osm.testing.mesh import osm
from tests.kubernetes.asking import CRDS as DEFINITIONS
from tests.kubernetes.asking import Kinds, Object, Refused, ask, create, install_crds

PAGE = (Path(__file__).parents[2] / "docs/migrating.md").read_text(encoding="utf-8")
WEIGHTS = [{"service": "bookstore-v1", "weight": 90}, {"service": "bookstore-v2", "weight": 10}]
SPLIT: Object = {
    "apiVersion": "split.smi-spec.io/v1alpha2",
    "kind": "TrafficSplit",
    "metadata": {"name": "bookstore", "namespace": "default"},
    "spec": {"service": "bookstore.default.svc.cluster.local", "backends": WEIGHTS},
}
EGRESS: Object = {
    "apiVersion": "policy.openservicemesh.io/v1alpha1",
    "kind": "Egress",
    "metadata": {"name": "books", "namespace": "default"},
    "spec": {
        "sources": [{"kind": "ServiceAccount", "name": "bookbuyer", "namespace": "default"}],
        "hosts": ["books.example"],
        "ports": [{"number": 80, "protocol": "http"}],
    },
}


def definition_of_osm() -> Object:
    """TrafficSplit as OSM 1.2 has it: newer versions are listed and not served, and there is no status."""
    kept: dict[str, Any] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": kept}}}
    versions = [
        {"name": name, "served": name == "v1alpha2", "storage": name == "v1alpha2", "schema": schema}
        for name in ("v1alpha4", "v1alpha3", "v1alpha2")
    ]
    names = {"kind": "TrafficSplit", "plural": "trafficsplits", "singular": "trafficsplit", "shortNames": ["ts"]}
    marks = {"app.kubernetes.io/name": "openservicemesh.io"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": str(TRAFFIC_SPLITS), "labels": marks},
        "spec": {"group": "split.smi-spec.io", "scope": "Namespaced", "names": names, "versions": versions},
    }


@pytest.fixture(scope="module")
def left(programs: Path) -> Iterator[ApiServer]:
    """A server with OSM's definition and a split of its user's; all else that OSM left is as ours."""
    with api_server(programs) as server:
        ask(server, "POST", CRDS.path(), definition_of_osm())
        install_crds(server)  # as helm does: what is there stays
        create(server, Kinds(server), SPLIT)
        yield server


def test_a_split_of_osm_is_read_once_the_definitions_are_applied(left: ApiServer, tmp_path: Path) -> None:
    path = TRAFFIC_SPLITS.path("default", "bookstore")
    with pytest.raises(Refused) as refused:
        ask(left, "GET", path)
    assert refused.value.status == 404
    said = osm("check", "--pre", home=tmp_path, environment={"KUBECONFIG": str(left.kubeconfig)})
    assert f"CRD {TRAFFIC_SPLITS} is an older OSM's and serves v1alpha2, not v1alpha4" in said.out
    assert "kubectl apply --server-side --force-conflicts -f deploy/chart/crds" in PAGE
    for file in DEFINITIONS.glob("*.yaml"):
        body = yaml.safe_load(file.read_text())
        applied = f"{CRDS.path(name=body['metadata']['name'])}?fieldManager=kubectl&force=true"
        ask(left, "PATCH", applied, body, content="application/apply-patch+yaml")
    assert ask(left, "GET", path)["spec"] == SPLIT["spec"]
    told = {"status": {"currentStatus": "committed"}}
    ask(left, "PATCH", f"{path}/status", told, content="application/merge-patch+json")
    assert ask(left, "GET", path)["status"] == told["status"]


def test_what_kubectl_saved_is_judged_and_what_has_no_effect_is_named(left: ApiServer, tmp_path: Path) -> None:
    kinds = Kinds(left)
    stored = [create(left, kinds, EGRESS), ask(left, "GET", f"{kinds.path(SPLIT)}/bookstore")]
    (tmp_path / "policies.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": stored}))
    (said,) = problems_of(tmp_path)
    assert "Egress is accepted and not enforced yet" in str(said)
    assert "| Egress policies" in PAGE


def test_a_value_of_osm_that_is_not_there_is_named(tmp_path: Path, helm: Helm) -> None:
    values = {"osm": {"meshName": "osm", "osmController": {"replicaCount": 3}, "enableEgress": False}}
    (tmp_path / "values.yaml").write_text(json.dumps(values))
    path = {"PATH": f"{helm.program.parent}{os.pathsep}{os.environ['PATH']}"}
    asked = ("install", "--render", "--kube-version=1.35", "-f", str(tmp_path / "values.yaml"))
    ended = osm(*asked, home=tmp_path, environment=path)
    assert 'osm.osmController: found {"replicaCount":3}, but there is no osm-controller' in ended.err
    assert "enableEgress" not in ended.err
