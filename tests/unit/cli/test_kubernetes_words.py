"""What the commands on a cluster decide without one: meshes, membership, leftovers, helm's arguments, judgements."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from osm.cli.allowed import End, judge
from osm.cli.boolean_flags import spelled
from osm.cli.kubernetes import leftovers
from osm.cli.kubernetes.cluster_options import ClusterOptions, configured_namespace
from osm.cli.kubernetes.helm import Release, Values
from osm.cli.kubernetes.kubernetes_objects import Pod, Workload
from osm.cli.kubernetes.membership import injection, is_bare, joined, left, memberships, refusal, warnings
from osm.cli.kubernetes.meshes import Mesh, chosen, in_the_way, meshes
from osm.cli.kubernetes.metrics import split
from osm.cli.kubernetes.mode import MeshConfig, switch, told
from osm.cli.kubernetes.pod_names import by_proxy_id
from osm.cli.kubernetes.program import Ended
from osm.cli.output import CommandError
from osm.contracts.names import Identity
from osm.contracts.policy import HttpRule, TcpRule, TrafficTarget
from osm.k8s.objects import Namespace, Object

OSM = {"app.kubernetes.io/name": "openservicemesh.io"}


def namespace(name: str, labels: dict[str, str] | None = None, **annotations: Any) -> Namespace:
    marks = {key.replace("_", "-"): value for key, value in annotations.items()}
    told_by = {f"openservicemesh.io/{key}": value for key, value in marks.items()}
    return msgspec.convert({"metadata": {"name": name, "labels": labels or {}, "annotations": told_by}}, Namespace)


def deployment(name: str, home: str, **labels: str) -> Workload:
    return msgspec.convert({"metadata": {"name": name, "namespace": home, "labels": {**OSM, **labels}}}, Workload)


def thing(name: str, home: str = "", **labels: str) -> Object:
    marks = {key.replace("_", "-"): value for key, value in labels.items()}
    return msgspec.convert({"metadata": {"name": name, "namespace": home, "labels": marks}}, Object)


def pod(**spec: Any) -> Pod:
    return msgspec.convert({"metadata": spec.pop("metadata", {"name": "p"}), "spec": spec}, Pod)


# Meshes


def test_meshes_are_told_by_their_deployments_and_namespaces() -> None:
    version = {"app.kubernetes.io/version": "2.0", "meshName": "osm", "enforceSingleMesh": "true"}
    found = meshes(
        (deployment("osm-xds", "osm-system", **version), deployment("osm-catalog", "osm-system", **version)),
        (
            namespace("b", {"openservicemesh.io/monitored-by": "osm"}),
            namespace("a", {"openservicemesh.io/monitored-by": "osm"}),
        ),
    )
    assert found == (Mesh(name="osm", namespace="osm-system", version="2.0", members=("a", "b"), alone=True),)


def test_an_old_mesh_is_known_by_its_controller() -> None:
    (found,) = meshes((deployment("osm-controller", "osm-system", meshName="osm"),), ())
    assert found.old


HERE = Mesh(name="osm", namespace="osm-system")


@pytest.mark.parametrize(
    ("there", "name", "home", "alone", "words"),
    [
        ((), "osm", "osm-system", True, ""),
        ((HERE,), "osm", "osm-system", True, "is already installed"),
        ((HERE,), "two", "osm-system", False, "is already installed in that namespace"),
        ((HERE,), "osm", "elsewhere", False, "has the same name"),
        ((HERE,), "two", "elsewhere", True, "the new one is to be the only one"),
        ((HERE,), "two", "elsewhere", False, ""),
        ((Mesh(name="osm", namespace="a", alone=True),), "two", "b", False, "is installed to be the only one"),
    ],
)
def test_what_is_in_the_way_is_said(there: tuple[Mesh, ...], name: str, home: str, alone: bool, words: str) -> None:
    said = in_the_way(there, name, home, alone=alone)
    assert words in said
    assert bool(said) is bool(words)


def test_one_of_several_meshes_must_be_named() -> None:
    two = (Mesh(name="a", namespace="x"), Mesh(name="b", namespace="y"))
    assert chosen(two, "b", "").namespace == "y"
    assert chosen(two, "", "x").name == "a"
    with pytest.raises(CommandError, match="2 meshes; say which: a in x, b in y"):
        chosen(two, "", "")
    with pytest.raises(CommandError, match=r"no mesh \[c\]"):
        chosen(two, "c", "")


# Membership


def test_the_patch_of_leaving_takes_back_what_joining_and_metrics_wrote() -> None:
    marks = joined("osm", inject=True)["metadata"]
    undone = left()["metadata"]
    assert undone["labels"] == dict.fromkeys(marks["labels"])
    assert set(marks["annotations"]) < set(undone["annotations"])
    assert joined("osm", inject=False)["metadata"]["annotations"] == {
        "openservicemesh.io/sidecar-injection": "disabled"
    }


@pytest.mark.parametrize(
    ("word", "means"), [("enabled", "enabled"), ("YES", "enabled"), ("false", "disabled"), ("", "-"), ("on", "on")]
)
def test_the_word_on_injection_is_read_as_osm_reads_it(word: str, means: str) -> None:
    said: dict[str, Any] = {"sidecar_injection": word} if word else {}
    assert injection(namespace("n", **said)) == means


def test_changing_the_word_on_injection_is_not_refused() -> None:
    member = namespace("n", {"openservicemesh.io/monitored-by": "osm"}, sidecar_injection="enabled")
    assert refusal(member, "osm", (), inject=False) is None
    again = refusal(member, "osm", (), inject=True)
    assert again is not None
    assert (again.status, again.what) == (0, "Namespace [n] has already been added to mesh [osm]")


def test_members_are_listed_by_name() -> None:
    label = {"openservicemesh.io/monitored-by": "osm"}
    assert [each.namespace for each in memberships((namespace("b", label), namespace("a", label)))] == ["a", "b"]


def test_a_strict_namespace_is_warned_about_only_if_pods_get_sidecars() -> None:
    strict = namespace("n", {"pod-security.kubernetes.io/enforce": "restricted"})
    assert any("NET_ADMIN" in line for line in warnings(strict, (), inject=True))
    assert list(warnings(strict, (), inject=False)) == []


@pytest.mark.parametrize(
    ("found", "bare"),
    [
        (pod(), True),
        (pod(hostNetwork=True), False),
        (pod(metadata={"name": "p", "labels": {"osm-proxy-uuid": "u"}}), False),
        (pod(metadata={"name": "p", "annotations": {"openservicemesh.io/sidecar-injection": "Disabled"}}), False),
        (pod(metadata={"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"}), False),
    ],
    ids=["plain", "host network", "meshed", "said no", "going"],
)
def test_a_pod_is_bare_unless_it_has_or_refuses_a_sidecar(found: Pod, bare: bool) -> None:
    assert is_bare(found) is bare


# Leftovers


def test_only_the_meshs_own_objects_are_its_leftovers() -> None:
    mark = {"app.kubernetes.io/name": "openservicemesh.io", "app.kubernetes.io/instance": "osm"}
    found = (
        msgspec.convert({"metadata": {"name": "ours", "labels": mark}}, Object),
        msgspec.convert(
            {"metadata": {"name": "theirs", "labels": {**mark, "app.kubernetes.io/instance": "b"}}}, Object
        ),
        thing("osm-nats-xds"),
        thing("mine"),
    )
    assert leftovers.of_mesh("osm", found) == ("ours",)
    assert leftovers.of_mesh("osm", found, named=True) == ("osm-nats-xds", "ours")


def test_sidecars_secrets_of_another_meshs_namespaces_stay() -> None:
    secrets = (
        thing("envoy-bootstrap-config-1", "shop", osm_proxy_uuid="1"),
        thing("envoy-bootstrap-config-2", "other", osm_proxy_uuid="2"),
        thing("envoy-bootstrap-config-3", "left", osm_proxy_uuid="3"),
        thing("gateway", "edge", **{"openservicemesh.io/ingress-gateway": "true"}),
        thing("password", "shop"),
    )
    owner = {"shop": "osm", "other": "second"}
    assert leftovers.bootstraps("osm", secrets, owner) == (
        ("edge", "gateway"),
        ("left", "envoy-bootstrap-config-3"),
        ("shop", "envoy-bootstrap-config-1"),
    )


def test_the_definitions_taken_away_are_those_the_chart_brings() -> None:
    chart = Path(__file__).resolve().parents[3] / "deploy" / "chart" / "crds"
    brought = {"{1}.{0}".format(*path.stem.split("_")) for path in chart.glob("*.yaml")}
    assert {str(kind) for kind in leftovers.CRDS} == brought


# helm


def test_values_reach_helm_as_they_were_given() -> None:
    values = Values(files=("a.yaml",), single=("osm.x=1",))
    release = Release(
        mesh="osm",
        where=ClusterOptions(context="c", osm_namespace="home"),
        chart=Path("chart"),
        values=values,
        atomic=True,
    )
    assert release.install() == [
        *("install", "osm", "chart", "--namespace=home", "--kube-context=c", "--create-namespace"),
        *("--wait", "--timeout=5m", "--atomic", "--values=a.yaml", "--set=osm.x=1"),
    ]
    assert "--reset-values" in release.upgrade()
    assert "--kube-context=c" not in release.render()


def test_helms_words_come_without_warnings() -> None:
    said = "WARNING: Kubernetes configuration file is group-readable\nError: no such chart\n"
    assert Ended(status=1, out="", err=said).words == "no such chart"
    assert Ended(status=3, out="", err="").words == "exit status 3"


# The mode


def test_the_mode_is_said_with_the_command_that_changes_it() -> None:
    enforced = msgspec.convert({"spec": {"traffic": {"enablePermissiveTrafficPolicyMode": False}}}, MeshConfig)
    assert "permissive" in next(told(None, "home"))
    assert "enforced" in next(told(enforced, "home"))
    patch = switch("home", permissive=False).partition("-p ")[2].strip("'")
    assert msgspec.convert(json.loads(patch), MeshConfig).spec.traffic.permissive is False


# Where


def test_the_namespace_comes_from_osms_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "config.yaml"
    monkeypatch.setenv("OSM_CONFIG", str(file))
    assert configured_namespace() == ""
    file.write_text("install:\n  kind: self-hosted\n  namespace: mesh-home\n")
    assert configured_namespace() == "mesh-home"
    file.write_text("install: [1\n")
    with pytest.raises(CommandError, match=str(file)):
        configured_namespace()


def test_options_name_the_same_cluster_to_kubectl_and_helm() -> None:
    where = ClusterOptions(kubeconfig="k", context="c")
    assert where.kubectl() == ["--kubeconfig=k", "--context=c"]
    assert where.helm() == ["--kubeconfig=k", "--kube-context=c"]
    assert (ClusterOptions().kubectl(), ClusterOptions().named, ClusterOptions().home) == ([], False, "osm-system")


# Who may talk


BUYER, STORE = (
    End(name="buyer/b", identity=Identity("buyer", "b")),
    End(name="store/s", identity=Identity("store", "s")),
)
TARGET = TrafficTarget(
    namespace="store",
    name="t",
    destination=STORE.identity,
    sources=(BUYER.identity,),
    rules=(HttpRule(route_group="routes", matches=("buy",)), TcpRule(route="tcp")),
)


def test_permissive_mode_allows_and_says_so() -> None:
    judged = judge(BUYER, STORE, (), permissive=True)
    assert judged.allowed
    assert judged.lines == (
        "[+] Permissive mode enabled for mesh: Pod 'buyer/b' is allowed to communicate to pod 'store/s'",
    )


def test_a_traffic_target_allows_one_way() -> None:
    judged = judge(BUYER, STORE, (TARGET,), permissive=False)
    assert judged.allowed
    assert judged.lines[0] == (
        "[+] Pod 'buyer/b' is allowed to communicate to pod 'store/s' "
        'via the SMI TrafficTarget policy "t" in namespace store'
    )
    assert judged.lines[1].strip() == "requests of HTTPRouteGroup routes: buy"
    back = judge(STORE, BUYER, (TARGET,), permissive=False)
    assert not back.allowed
    assert back.lines[0] == (
        "[+] Pod 'store/s' is not allowed to communicate to pod 'buyer/b', missing SMI TrafficTarget policy"
    )


# Small words


def test_flags_are_taken_as_osm_spelled_them() -> None:
    given = [
        "--verbose",
        "install",
        "--verbose=true",
        "--atomic=true",
        "--enforce-single-mesh=false",
        "--enforce-single-mesh=true",
        "--enforce-single-mesh",
        "--set=osm.x=false",
        "--osm-namespace=false",
        "--filter=true",
        "--force=false",
        "--",
        "--verbose",
        "--a=true",
    ]
    assert list(spelled(given)) == [
        *("install", "--atomic", "--no-enforce-single-mesh", "--set=osm.x=false"),
        *("--osm-namespace=false", "--filter=true", "--", "--verbose", "--a=true"),
    ]


def test_a_proxy_is_known_by_its_pod() -> None:
    found = by_proxy_id((thing("web-1", "shop", osm_proxy_uuid="u1"), thing("bare", "shop")))
    assert found == {"u1.shop": "shop/web-1"}


def test_namespaces_are_separated_by_commas_or_repeated() -> None:
    assert split(["a,b", "b", "c,"]) == ["a", "b", "c"]
    with pytest.raises(typer.BadParameter, match="found ','"):
        split([","])
