"""The walk-through of a new user on a real cluster, word for word: install, join, deploy, see, change, uninstall.

The tests go in the order of the walk and share its two installations; each leaves the mesh as it found it, or says so
by the fixture that it takes. What each step measured is told as it goes (`pytest -s`), and as a table at the end.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from osm.cli.demo.binomial import interval
from osm.cli.demo.shop import BUY, Burst
from tests.cluster.bookshop import (
    CHANGED_WITHIN_S,
    MANIFESTS,
    NAMESPACES,
    OUTSIDE,
    OUTSIDE_APPS,
    Bookshop,
    denied,
    served_by,
    sold,
    turned_away,
)
from tests.cluster.figures import Figures
from tests.cluster.holdings import Holding, holdings
from tests.cluster.node import Cluster, Failed
from tests.cluster.tap import tapped

HOME = "osm-system"
INSTALLED = f"OSM installed successfully in namespace [{HOME}] with mesh name [osm]"
INSTALLED_WITHIN_S = 330.0
"""Longer than what `osm install` itself gives."""
GONE_WITHIN_S = 300.0

MEMBER = "openservicemesh.io/monitored-by"
INJECTION = "openservicemesh.io/sidecar-injection"
SPLIT = ("trafficsplit", "bookstore-split", "-n", "bookstore")
STORES = ("bookstore-v1", "bookstore-v2")
SENT = 500


@pytest.fixture(scope="module")
def before(cluster: Cluster, images: str) -> Iterator[set[Holding]]:
    """All that the cluster holds before the walk; afterwards nothing of the walk is left, however it ended."""
    taken = {OUTSIDE, *NAMESPACES} & set(names(cluster, "namespaces"))
    mesh = cluster.kubectl("get", "deployments", "-A", "-l", "app.kubernetes.io/name=openservicemesh.io", "-o", "name")
    if taken or mesh:
        pytest.fail(f"the walk needs a cluster without a mesh and without {', '.join(sorted(taken)) or 'its apps'}")
    with ExitStack() as afterwards:  # each of them, whatever becomes of the others
        gone = ("delete", "namespace", "--ignore-not-found", HOME, OUTSIDE, *NAMESPACES)
        afterwards.callback(cluster.kubectl, *gone, within_s=GONE_WITHIN_S)
        afterwards.callback(cluster.command, "osm", "uninstall", "mesh", "-f", "-a", within_s=INSTALLED_WITHIN_S)
        yield holdings(cluster)


@pytest.fixture(scope="module")
def installed(cluster: Cluster, before: set[Holding], figures: Figures) -> str:
    """What `osm install` says, with policies enforced."""
    began = time.monotonic()
    said = cluster.command(
        "osm", "install", "--set=osm.enablePermissiveTrafficPolicy=false", within_s=INSTALLED_WITHIN_S
    )
    figures.tell("osm install", f"{time.monotonic() - began:.1f} s until all is ready")
    return said


@pytest.fixture(scope="module")
def joined(cluster: Cluster, installed: str, figures: Figures) -> str:
    """What `osm namespace add` says."""
    for namespace in NAMESPACES:
        cluster.create_namespace(namespace)
    began = time.monotonic()
    said = cluster.command("osm", "namespace", "add", *NAMESPACES)
    figures.tell("osm namespace add", f"{len(NAMESPACES)} namespaces in {time.monotonic() - began:.1f} s")
    return said


@pytest.fixture(scope="module")
def shop(cluster: Cluster, joined: str, figures: Figures) -> Iterator[Bookshop]:
    """The bookstore of demo/manifests, all pods ready; beside it two apps that are outside of the mesh."""
    began = time.monotonic()
    cluster.kubectl("apply", "-f", str(MANIFESTS))
    cluster.create_namespace(OUTSIDE)
    cluster.apply(OUTSIDE_APPS, OUTSIDE)
    with Bookshop(cluster) as bookshop:
        bookshop.ready()
        figures.tell("kubectl apply -f demo/manifests", f"all pods ready after {time.monotonic() - began:.1f} s")
        bookshop.first("bookbuyer", sold)
        figures.tell("the first book", f"is sold {time.monotonic() - began:.1f} s after kubectl apply")
        cluster.rolled_out("deployment", OUTSIDE)
        yield bookshop


def names(cluster: Cluster, kind: str) -> list[str]:
    return cluster.kubectl("get", kind, "-o", "jsonpath={.items[*].metadata.name}").split()


def effect(change: Callable[[], object], first: Callable[[], float]) -> str:
    """How long after a command was started its first effect was seen, while it may still run; in words."""

    def made() -> float:
        change()
        return time.monotonic()

    with ThreadPoolExecutor(max_workers=1) as beside:
        began = time.monotonic()
        ended = beside.submit(made)
        seen = first()
        return f"first effect {seen - began:.2f} s after kubectl was started, which took {ended.result() - began:.2f} s"


def permissive(cluster: Cluster, *, wanted: bool) -> None:
    patch = json.dumps({"spec": {"traffic": {"enablePermissiveTrafficPolicyMode": wanted}}})
    cluster.kubectl("patch", "meshconfig", "osm-mesh-config", "-n", HOME, "--type=merge", "-p", patch)


def split(cluster: Cluster, first: int, second: int) -> None:
    backends = [{"service": store, "weight": weight} for store, weight in zip(STORES, (first, second), strict=True)]
    cluster.kubectl("patch", *SPLIT, "--type=merge", "-p", json.dumps({"spec": {"backends": backends}}))


def in_force(cluster: Cluster) -> str:
    return cluster.command("osm", "wait", "trafficsplit", "bookstore/bookstore-split", "--timeout", "110s")


def observed(shop: Bookshop, share: float) -> tuple[Burst, str]:
    """A burst that is divided as it should be, and its figures in words."""
    burst = shop.burst("bookbuyer", SENT)
    low, high = interval(SENT, share)
    by_first = burst.identities.get(STORES[0], 0)
    assert sold(burst), burst
    assert low <= by_first <= high, burst
    return burst, f"{by_first} of {SENT} by v1 (99.9999 % interval: {low} to {high})"


def test_install_says_so_and_that_policies_are_enforced(installed: str) -> None:
    assert INSTALLED in installed.splitlines()
    assert "traffic policies: enforced" in installed


def test_everything_of_the_control_plane_is_ready(cluster: Cluster, installed: str, figures: Figures) -> None:
    rows = [line.split() for line in cluster.kubectl("get", "all", "-n", HOME).splitlines() if "/osm-" in line]
    ready = [row for row in rows if row[0].startswith(("deployment.apps/", "statefulset.apps/"))]
    pods = [row for row in rows if row[0].startswith("pod/")]
    assert len(ready) == len(("catalog", "certmgr", "endpoints", "injector", "meshspec", "xds", "nats"))
    assert all(row[1].split("/")[0] == row[1].split("/")[1] != "0" for row in ready), ready
    assert all(row[2] == "Running" or row[2] == "Completed" for row in pods), pods
    figures.tell("kubectl get all -n osm-system", f"{len(pods)} pods, {len(ready)} of {len(ready)} ready")


def test_namespaces_are_added_with_a_line_a_label_and_an_annotation_each(cluster: Cluster, joined: str) -> None:
    assert joined.splitlines() == [f"Namespace [{name}] successfully added to mesh [osm]" for name in NAMESPACES]
    for name in NAMESPACES:
        marks = json.loads(cluster.kubectl("get", "namespace", name, "-o", "json"))["metadata"]
        assert marks["labels"][MEMBER] == "osm"
        assert marks["annotations"][INJECTION] == "enabled"


def test_every_pod_has_the_redirects_and_a_sidecar(cluster: Cluster, shop: Bookshop, figures: Figures) -> None:
    for app, pod in shop.pods().items():
        spec, namespace, name = pod["spec"], pod["metadata"]["namespace"], pod["metadata"]["name"]
        assert [each["name"] for each in spec["initContainers"]] == ["osm-init", "envoy"]
        assert spec["initContainers"][1]["restartPolicy"] == "Always"
        assert [each["name"] for each in spec["containers"]] == [app.partition("-v")[0]]
        assert f"{name} 2/2 Running" in " ".join(cluster.kubectl("get", "pod", name, "-n", namespace).split())
    figures.tell("pods", "2/2 Running, with osm-init and envoy")


def test_the_split_is_listed_with_its_service_and_backends(cluster: Cluster, shop: Bookshop) -> None:
    head, line = cluster.kubectl("get", "trafficsplit", "-n", "bookstore").splitlines()
    assert head.split()[:3] == ["NAME", "SERVICE", "BACKENDS"]
    assert line.split()[:2] == ["bookstore-split", "bookstore"]
    assert all(f'"service":"{store}","weight":50' in line for store in STORES)


def test_the_buyer_is_served(shop: Bookshop, figures: Figures) -> None:
    books = shop.raw("bookbuyer")["books"]
    burst = shop.burst("bookbuyer", 300)
    assert sold(burst), burst
    assert shop.raw("bookbuyer")["books"] >= books + 300
    figures.tell("the buyer", f"{burst.succeeded} of {burst.requests} requests served")


def test_the_thief_is_denied_and_its_sidecar_knows_no_way(cluster: Cluster, shop: Bookshop, figures: Figures) -> None:
    burst = shop.burst("bookthief", 100)
    assert turned_away(burst), burst
    assert shop.raw("bookthief")["books"] == 0
    pod = shop.pods()["bookthief"]["metadata"]["name"]
    assert "bookstore" not in cluster.command("osm", "proxy", "get", "clusters", pod, "-n", "bookthief")
    words = ", ".join(f"{count} times {error!r}" for error, count in {**burst.errors, **burst.statuses}.items())
    figures.tell("the thief", f"{words}; its sidecar has no cluster of the bookstore")


def test_the_split_is_observed_and_shifts(cluster: Cluster, shop: Bookshop, figures: Figures) -> None:
    try:
        in_force(cluster)
        figures.tell("split 50/50", observed(shop, 0.5)[1])
        split(cluster, 100, 0)
        in_force(cluster)
        # A sidecar acknowledges a change before the last of its threads has heard of it.
        shop.first("bookbuyer", lambda burst: not burst.identities.get(STORES[1]), 50)
        figures.tell("split 100/0", observed(shop, 1.0)[1])
        words = effect(lambda: split(cluster, 0, 100), lambda: shop.first("bookbuyer", served_by(STORES[1])))
        figures.tell("split shifted to 0/100", words)
        split(cluster, 90, 10)
        figures.tell("osm wait", in_force(cluster).strip())
        figures.tell("split 90/10", observed(shop, 0.9)[1])
    finally:
        split(cluster, 50, 50)


def test_the_bookstore_restocks_from_the_warehouse(shop: Bookshop, figures: Figures) -> None:
    delivered, last = shop.raw("bookwarehouse")["books_restocked"], time.monotonic() + CHANGED_WITHIN_S
    assert sold(shop.burst("bookbuyer", 50))
    while (more := shop.raw("bookwarehouse")["books_restocked"] - delivered) < 50 and time.monotonic() < last:
        time.sleep(0.1)
    assert more >= 50
    figures.tell("the warehouse", f"delivered {more} books after 50 were sold")


def test_nothing_between_meshed_pods_can_be_read_on_the_wire(
    cluster: Cluster, shop: Bookshop, figures: Figures
) -> None:
    mark = secrets.token_hex(8)
    with tapped(cluster, mark, "client-app", "Booksbought") as capture:
        assert sold(shop.burst("bookbuyer", 100, f"{BUY}?{mark}"))
        assert sold(shop.burst(OUTSIDE, 100, f"{BUY}?{mark}"))
    address = {app: pod["status"]["podIP"] for app, pod in shop.pods().items()}
    meshed = capture.between([address["bookbuyer"]], [address[store] for store in STORES])
    outside = cluster.kubectl("get", "pods", f"-n={OUTSIDE}", "-o", "jsonpath={.items[*].status.podIP}").split()
    plain = capture.between(outside, outside)
    assert capture.lost == 0
    # A request and its answer, each with markers of its own.
    assert plain.markers >= 3 * 100
    assert meshed.packets >= 2 * 100
    assert meshed.records >= 2 * 100
    assert meshed.markers == 0
    figures.tell(
        "on the wire",
        f"in the mesh {meshed.packets} packets, {meshed.bytes / 1000:.0f} kB of TLS with 0 of our words; "
        f"outside {plain.packets} packets with {plain.markers}",
    )


def test_a_stranger_is_refused(cluster: Cluster, shop: Bookshop, figures: Figures) -> None:
    """Plain HTTP from a pod without a sidecar."""
    script = "import sys, urllib.request as u; u.urlopen(sys.argv[1], timeout=10)"
    url = f"http://bookstore.bookstore.svc.cluster.local:14001{BUY}"
    with pytest.raises(Failed) as refused:
        cluster.kubectl("exec", f"-n={OUTSIDE}", f"deployment/{OUTSIDE}", "--", "python3", "-c", script, url)
    (last,) = [line for line in str(refused.value).splitlines() if "Error:" in line or "Disconnected:" in line][-1:]
    assert "HTTPError" not in last
    figures.tell("a pod outside the mesh", last.strip())


def test_permissive_mode_lets_the_thief_in_and_out_again(cluster: Cluster, shop: Bookshop, figures: Figures) -> None:
    try:
        inside = effect(lambda: permissive(cluster, wanted=True), lambda: shop.first("bookthief", sold))
        shop.first("bookthief", sold, 50)
        assert sold(shop.burst("bookthief", 50))
        figures.tell("permissive mode on: the thief is in", inside)
    finally:
        out = effect(lambda: permissive(cluster, wanted=False), lambda: shop.first("bookthief", denied))
    shop.first("bookthief", denied, 50)
    assert denied(shop.burst("bookthief", 50))
    figures.tell("permissive mode off: the thief is out", out)


def test_commands_look_at_the_mesh(cluster: Cluster, shop: Bookshop, figures: Figures) -> None:
    pods = {app: f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for app, pod in shop.pods().items()}
    checked = cluster.command("osm", "check", "--wait", "--timeout", "110s")
    assert "0 errors, 0 warnings" in checked
    said = cluster.command("osm", "status") + cluster.command("osm", "proxy", "list")
    assert all(said.count(pod) == 2 for pod in pods.values()), said
    namespace, _, buyer = pods["bookbuyer"].partition("/")
    clusters = cluster.command("osm", "proxy", "get", "clusters", buyer, "-n", namespace)
    assert all(f"bookstore/{store}" in clusters for store in STORES)
    allowed = cluster.command("osm", "policy", "check-pods", pods["bookbuyer"], pods["bookstore-v1"])
    assert "is allowed to communicate" in allowed
    with pytest.raises(Failed, match="is not allowed to communicate"):
        cluster.command("osm", "policy", "check-pods", pods["bookthief"], pods["bookstore-v1"])
    figures.tell("osm check", f"{checked.count(' ok ')} lines in order, {checked.splitlines()[-1]}")


@pytest.fixture(scope="module")
def uninstalled(cluster: Cluster, shop: Bookshop, figures: Figures) -> str:
    """What `osm uninstall` says; the apps go on with their sidecars."""
    began = time.monotonic()
    said = cluster.command("osm", "uninstall", "mesh", "-f", within_s=INSTALLED_WITHIN_S)
    figures.tell("osm uninstall mesh -f", f"{time.monotonic() - began:.1f} s")
    return said


KINDS_OF_USERS = {
    *("Deployment", "Endpoints", "EndpointSlice", "HTTPRouteGroup", "Pod", "ReplicaSet", "Service"),
    *("ServiceAccount", "TrafficSplit", "TrafficTarget"),
}
OF_EVERY_NAMESPACE = {("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")}


def of_users(found: Holding) -> bool:
    """Whether that is a namespace of the walk, or something in it that its manifests or Kubernetes made."""
    if found.namespace in (OUTSIDE, *NAMESPACES):
        return found.kind in KINDS_OF_USERS or (found.kind, found.name) in OF_EVERY_NAMESPACE
    return found.kind == "IPAddress" or (found.kind == "Namespace" and found.name in (OUTSIDE, *NAMESPACES))


def is_kept(found: Holding) -> bool:
    """Whether uninstalling keeps it on purpose: definitions, and with them policies; the namespace."""
    of_namespace = found.namespace == HOME and (found.kind, found.name) in OF_EVERY_NAMESPACE
    return found.kind in ("APIService", "CustomResourceDefinition") or of_namespace or found[::2] == ("Namespace", HOME)


def finally_left(cluster: Cluster, before: set[Holding], expected: Callable[[Holding], bool]) -> list[str]:
    """What is there besides; Kubernetes' own collectors are given their time."""
    last = time.monotonic() + CHANGED_WITHIN_S
    while True:
        left = sorted(str(each) for each in holdings(cluster) - before if not expected(each))
        if not left or time.monotonic() > last:
            return left
        time.sleep(0.5)


def test_uninstalling_leaves_nothing_but_definitions(
    cluster: Cluster, before: set[Holding], uninstalled: str, figures: Figures
) -> None:
    assert f"OSM [mesh name: osm] in namespace [{HOME}] uninstalled" in uninstalled.splitlines()
    left = finally_left(cluster, before, lambda each: of_users(each) or is_kept(each))
    assert left == []
    definitions = names(cluster, "customresourcedefinitions")
    assert len(definitions) == 12
    figures.tell("left behind", f"{len(left)} objects; {len(definitions)} definitions stay without -a")


def test_namespaces_lose_label_and_annotation(cluster: Cluster, uninstalled: str) -> None:
    for name in NAMESPACES:
        marks = json.loads(cluster.kubectl("get", "namespace", name, "-o", "json"))["metadata"]
        assert MEMBER not in marks["labels"]
        assert INJECTION not in marks.get("annotations", {})


@pytest.fixture(scope="module")
def bare(shop: Bookshop, uninstalled: str, figures: Figures) -> Bookshop:
    """The apps, restarted after the mesh was uninstalled."""
    began = time.monotonic()
    shop.restart()
    figures.tell("kubectl rollout restart", f"{time.monotonic() - began:.1f} s until all apps are ready without a mesh")
    return shop


def test_apps_go_on_without_a_mesh(bare: Bookshop, figures: Figures) -> None:
    for pod in bare.pods().values():
        assert len(pod["spec"]["containers"]) == 1
        assert "initContainers" not in pod["spec"]
    bare.first("bookbuyer", sold)
    assert sold(bare.burst("bookbuyer", 50))
    assert sold(bare.burst("bookthief", 50))
    figures.tell("without a mesh", "pods 1/1; the buyer is served, and so is the thief")


@pytest.fixture(scope="module")
def plain(cluster: Cluster, bare: Bookshop, figures: Figures) -> tuple[str, Bookshop]:
    """What `osm install` says without any setting, and the apps in that mesh."""
    began = time.monotonic()
    said = cluster.command("osm", "install", within_s=INSTALLED_WITHIN_S)
    figures.tell("plain osm install", f"{time.monotonic() - began:.1f} s")
    cluster.command("osm", "namespace", "add", *NAMESPACES)
    bare.restart()
    bare.first("bookbuyer", sold)
    return said, bare


def test_a_plain_install_is_permissive_until_policies_are_enforced(
    cluster: Cluster, plain: tuple[str, Bookshop], figures: Figures
) -> None:
    said, shop = plain
    assert INSTALLED in said.splitlines()
    assert "traffic policies: permissive" in said
    assert all(len(pod["spec"]["initContainers"]) == 2 for pod in shop.pods().values())
    shop.first("bookthief", sold, 50)
    assert sold(shop.burst("bookthief", 50))
    out = effect(lambda: permissive(cluster, wanted=False), lambda: shop.first("bookthief", denied))
    shop.first("bookthief", denied, 50)
    assert denied(shop.burst("bookthief", 50))
    shop.first("bookbuyer", sold, 50)
    assert sold(shop.burst("bookbuyer", 50))
    figures.tell("plain install: the thief is in, then enforced", out)


def test_uninstalling_with_a_takes_definitions_and_policies_too(
    cluster: Cluster, before: set[Holding], plain: tuple[str, Bookshop], figures: Figures
) -> None:
    cluster.command("osm", "uninstall", "mesh", "-f", "-a", "--delete-namespace", within_s=INSTALLED_WITHIN_S)
    cluster.kubectl("delete", "namespace", OUTSIDE, *NAMESPACES, within_s=GONE_WITHIN_S)
    cluster.wait("delete", f"namespace/{HOME}", namespace=HOME)
    left = finally_left(cluster, before, lambda _: False)
    assert left == []
    figures.tell("osm uninstall mesh -f -a --delete-namespace", f"{len(left)} objects left in the whole cluster")
