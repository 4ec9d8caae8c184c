"""What docs/migrating.md promises, before a real API server that holds what OSM 1.2 leaves behind.

Beside the other tests of definitions, because it needs a server of its own: those of the session are ours from the
beginning, and here they begin as OSM's.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from osm.cli.command_error import CommandError
from osm.cli.kubernetes.chart import chart_path
from osm.cli.kubernetes.defining import define
from osm.cli.policy import judged
from osm.k8s.client import Cluster, connected
from osm.k8s.resource import CRDS, HTTP_ROUTE_GROUPS, TCP_ROUTES, TRAFFIC_SPLITS, Resource
from osm.testing.chart import Helm
from osm.testing.kubernetes import ApiServer, api_server
from osm.testing.mesh import Command, osm
from tests.kubernetes.asking import CRDS as DEFINITIONS
from tests.kubernetes.asking import Kinds, Object, Refused, ask, create, eventually, until_served

Cli = Callable[..., Command]
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
    """A server with OSM's definition and a split of its user's."""
    with api_server(programs) as server:
        ask(server, "POST", CRDS.path(), definition_of_osm())
        until_served(server, CRDS.path(name=str(TRAFFIC_SPLITS)))
        create(server, Kinds(server), SPLIT)
        yield server


@pytest.fixture(scope="module")
def cli(left: ApiServer, helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Cli:
    home = tmp_path_factory.mktemp("home")
    path = f"{helm.program.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {"KUBECONFIG": str(left.kubeconfig), "PATH": path}
    return lambda *arguments: osm(*arguments, home=home, environment=environment)


@pytest.fixture(scope="module")
def installed(left: ApiServer, cli: Cli) -> tuple[Command, Command]:
    """What `osm check --pre` and then `osm install` say, which is not waited for: nothing makes its pods ready."""
    said = cli("check", "--pre"), cli("install", "--timeout", "1s")
    for each in ask(left, "GET", CRDS.path())["items"]:
        until_served(left, CRDS.path(name=each["metadata"]["name"]))
    return said


def test_a_split_of_osm_is_not_read_before_the_installation_and_is_after_it(
    left: ApiServer, request: pytest.FixtureRequest
) -> None:
    path = TRAFFIC_SPLITS.path("default", "bookstore")
    with pytest.raises(Refused) as refused:
        ask(left, "GET", path)
    assert refused.value.status == 404
    before, install = request.getfixturevalue("installed")
    assert f"CRD {TRAFFIC_SPLITS} is an older OSM's and serves v1alpha2, not v1alpha4: osm install brings" in before.out
    assert f"CRD {TRAFFIC_SPLITS} is brought up to date; its objects stay" in install.err
    assert "kubectl apply" not in PAGE
    there = {each["metadata"]["name"]: each["spec"] for each in ask(left, "GET", CRDS.path())["items"]}
    for file in DEFINITIONS.glob("*.yaml"):
        body = yaml.safe_load(file.read_text())
        assert [each["name"] for each in there.pop(body["metadata"]["name"])["versions"]] == [
            each["name"] for each in body["spec"]["versions"]
        ]
    assert not there
    assert ask(left, "GET", path)["spec"] == SPLIT["spec"]
    told = {"status": {"currentStatus": "committed"}}
    ask(left, "PATCH", f"{path}/status", told, content="application/merge-patch+json")
    assert ask(left, "GET", path)["status"] == told["status"]


def patched(server: ApiServer, name: str, body: Any, *, how: str = "merge", subresource: str = "") -> Object:
    content = f"application/{how}-patch+json"
    found: Object = ask(server, "PATCH", CRDS.path(name=name, subresource=subresource), body, content=content)
    return found


def short_named(server: ApiServer, name: str) -> Object:
    """Its splits are called so for short, and the server has taken that in: which writes the definition once more."""
    patched(server, str(TRAFFIC_SPLITS), {"spec": {"names": {"shortNames": [name]}}})

    def accepted() -> Object:
        found: Object = ask(server, "GET", CRDS.path(name=str(TRAFFIC_SPLITS)))
        if found["status"]["acceptedNames"].get("shortNames") != [name]:
            raise Refused(404, f"accepted are {found['status']['acceptedNames']}")
        return found

    return eventually(accepted)


@pytest.mark.usefixtures("installed")
async def test_a_definition_of_others_that_lacks_a_version_is_refused_and_nothing_is_touched(left: ApiServer) -> None:
    name, splits = str(TCP_ROUTES), CRDS.path(name=str(TRAFFIC_SPLITS))
    patched(left, name, {"metadata": {"labels": {"app.kubernetes.io/name": "another"}}})
    patched(left, name, [{"op": "replace", "path": "/spec/versions/0/served", "value": False}], how="json")
    was = short_named(left, "other")["metadata"]["resourceVersion"]
    async with connected(str(left.kubeconfig)) as cluster:
        with pytest.raises(CommandError) as refused:
            await define(cluster, chart_path())
        assert refused.value.what == f'CRD {name} is of another origin ("another") and serves nothing, not v1alpha4'
        assert ask(left, "GET", splits)["metadata"]["resourceVersion"] == was
        assert f"kubectl label crd {name} --overwrite app.kubernetes.io/name=openservicemesh.io" in refused.value.remedy
        patched(left, name, {"metadata": {"labels": {"app.kubernetes.io/name": "openservicemesh.io"}}})
        await define(cluster, chart_path())
    assert ask(left, "GET", TCP_ROUTES.path())["items"] == []
    assert ask(left, "GET", splits)["spec"]["names"]["shortNames"] == ["ts"]


@pytest.mark.usefixtures("installed")
def test_an_upgrade_brings_ours_up_to_date_and_leaves_what_others_share_with_the_mesh(
    left: ApiServer, cli: Cli
) -> None:
    theirs, ours = {"spec": {"names": {"shortNames": ["theirs"]}}}, CRDS.path(name=str(TRAFFIC_SPLITS))
    patched(left, str(TCP_ROUTES), {"metadata": {"labels": {"app.kubernetes.io/name": "another"}}, **theirs})
    patched(left, str(TRAFFIC_SPLITS), theirs)
    cli("mesh", "upgrade", "--timeout", "1s")
    assert ask(left, "GET", ours)["spec"]["names"]["shortNames"] == ["ts"]
    assert ask(left, "GET", CRDS.path(name=str(TCP_ROUTES)))["spec"]["names"]["shortNames"] == ["theirs"]
    patched(left, str(TCP_ROUTES), {"metadata": {"labels": {"app.kubernetes.io/name": "openservicemesh.io"}}})


class Overtaken:
    """A cluster where somebody else writes each definition once, just before we do."""

    def __init__(self, server: ApiServer, cluster: Cluster) -> None:
        self._server = server
        self._cluster = cluster
        self._first = set[str]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cluster, name)

    async def replace(self, what: Resource, body: Object) -> Object:
        name = body["metadata"]["name"]
        if name not in self._first:
            self._first.add(name)
            patched(self._server, name, {"metadata": {"annotations": {"theirs": "kept"}}})
        return await self._cluster.replace(what, body)


@pytest.mark.usefixtures("installed")
async def test_a_definition_that_is_written_by_others_at_the_same_time_is_brought_up_to_date(left: ApiServer) -> None:
    """Such as the server itself, which writes its status."""
    short_named(left, "other")
    async with connected(str(left.kubeconfig)) as cluster:
        await define(Overtaken(left, cluster), chart_path())  # type: ignore[arg-type]  # all that a cluster does
    found = ask(left, "GET", CRDS.path(name=str(TRAFFIC_SPLITS)))
    assert found["spec"]["names"]["shortNames"] == ["ts"]
    assert found["metadata"]["annotations"]["theirs"] == "kept"


@pytest.mark.usefixtures("installed")
async def test_a_version_that_is_stored_stays_until_the_administrator_has_stored_all_anew(left: ApiServer) -> None:
    name = str(HTTP_ROUTE_GROUPS)
    service = {"namespace": "osm-system", "name": "gone"}
    webhook = {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]}
    conversion = {"strategy": "Webhook", "webhook": webhook}
    newest = {**ask(left, "GET", CRDS.path(name=name))["spec"]["versions"][0], "storage": False}
    older = {**newest, "name": "v1alpha3", "storage": True}
    patched(left, name, {"spec": {"versions": [newest, older], "conversion": conversion}})
    patched(left, name, {"spec": {"versions": [{**newest, "storage": True}, {**older, "storage": False}]}})
    async with connected(str(left.kubeconfig)) as cluster:
        with pytest.raises(CommandError) as refused:
            await define(cluster, chart_path())
        assert refused.value.what == f"CRD {name} has objects stored as v1alpha3, which this version does not know"
        assert """-p '{"status":{"storedVersions":["v1alpha4"]}}'""" in refused.value.remedy
        patched(left, name, {"status": {"storedVersions": ["v1alpha4"]}}, subresource="status")
        await define(cluster, chart_path())
        generation = ask(left, "GET", CRDS.path(name=name))["metadata"]["generation"]
        await define(cluster, chart_path())
    now = ask(left, "GET", CRDS.path(name=name))
    assert now["spec"]["conversion"] == {"strategy": "None"}
    assert [each["name"] for each in now["spec"]["versions"]] == ["v1alpha4"]
    assert now["metadata"]["generation"] == generation  # what is up to date is not written again


@pytest.mark.usefixtures("installed")
def test_what_kubectl_saved_is_judged_and_what_has_no_effect_is_named(left: ApiServer, tmp_path: Path) -> None:
    kinds = Kinds(left)
    spec = {"ports": [{"name": "http", "port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}]}
    for name in ("bookstore", "bookstore-v1"):
        body = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
        create(left, kinds, body)
    eventually(lambda: ask(left, "GET", "/api/v1/namespaces/default/services/kubernetes"))  # made once it is ready
    services = ask(left, "GET", "/api/v1/services")["items"]  # in a list these are told without apiVersion and kind
    stored = [create(left, kinds, EGRESS), ask(left, "GET", f"{kinds.path(SPLIT)}/bookstore")]
    stored += [{"apiVersion": "v1", "kind": "Service", **each} for each in services]
    (tmp_path / "policies.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": stored}))
    said = sorted(str(each).partition("policies.yaml:")[2].partition(": ")[2] for each in judged(tmp_path).problems)
    there = "bookstore, bookstore-v1, kubernetes"
    assert said == [
        'TrafficSplit default/bookstore: spec.backends[1].service: no Service "bookstore-v2" in namespace default, '
        f"there are {there}; its share is left out, the others keep their ratio",
    ]


def test_a_value_of_osm_that_is_not_there_is_named(tmp_path: Path, helm: Helm) -> None:
    values = {"osm": {"meshName": "osm", "osmController": {"replicaCount": 3}, "enableEgress": False}}
    (tmp_path / "values.yaml").write_text(json.dumps(values))
    path = {"PATH": f"{helm.program.parent}{os.pathsep}{os.environ['PATH']}"}
    asked = ("install", "--render", "--kube-version=1.35", "-f", str(tmp_path / "values.yaml"))
    ended = osm(*asked, home=tmp_path, environment=path)
    assert 'osm.osmController: found {"replicaCount":3}, but there is no osm-controller' in ended.err
    assert "enableEgress" not in ended.err
