"""What each outage of the control plane does on a real cluster, while the bookstore's traffic goes on.

Every test begins and ends with a whole mesh, and with `steady`: not one request of the buyer fails meanwhile, and the
thief never gets in. What was measured is told as it goes (`pytest -s`), and as a table at the end.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

from tests.cluster import parts
from tests.cluster.bookshop import MANIFESTS, NAMESPACES, Bookshop, served_by, sold
from tests.cluster.bus import Heart, Seen
from tests.cluster.figures import Figures
from tests.cluster.node import Cluster, Failed
from tests.cluster.parts import HOME

INSTALLED_WITHIN_S = 330.0
"""Longer than what `osm install` itself gives."""
FAILOVER_WITHIN_S = 15.0
PAUSED_S = 10.0
"""Past the lease of 4 s, and short of what liveness probes put up with."""
SEEN_WITHIN_S = 120.0
T = TypeVar("T")
STORES = ("bookstore-v1", "bookstore-v2")
LEADERS = pytest.mark.parametrize("service", ["endpoints", "meshspec"])

POD = """
apiVersion: v1
kind: Pod
metadata: {name: alone}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: alone
      image: openservicemesh/demo:latest
      imagePullPolicy: IfNotPresent
      command: [python3, -m, http.server]
"""

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: confined}
spec:
  selector: {matchLabels: {app: confined}}
  template:
    metadata: {labels: {app: confined}}
    spec:
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: confined
          image: openservicemesh/demo:latest
          imagePullPolicy: IfNotPresent
          command: [python3, -m, http.server]
          securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
"""
"""One that Pod Security level `restricted` lets in."""

MISPLACED = """
apiVersion: access.smi-spec.io/v1alpha3
kind: TrafficTarget
metadata: {name: misplaced, namespace: bookthief}
spec:
  destination: {kind: ServiceAccount, name: bookstore-v1, namespace: bookstore}
  rules: [{kind: HTTPRouteGroup, name: bookstore-routes}]
  sources: [{kind: ServiceAccount, name: bookthief, namespace: bookthief}]
"""
"""A thief's wish: the owner of the store has not said so."""


@pytest.fixture(scope="module")
def shop(cluster: Cluster, images: str) -> Iterator[Bookshop]:
    """The bookstore in a mesh that enforces policies; afterwards nothing of either is left."""
    try:
        cluster.command("osm", "install", "--set=osm.enablePermissiveTrafficPolicy=false", within_s=INSTALLED_WITHIN_S)
        cluster.kubectl("apply", "--filename", str(MANIFESTS))
        with Bookshop(cluster) as bookshop:
            bookshop.ready()
            bookshop.first("bookbuyer", sold)
            yield bookshop
    finally:
        cluster.command("osm", "uninstall", "mesh", "-f", "-a", within_s=INSTALLED_WITHIN_S)
        cluster.kubectl("delete", "namespace", "--ignore-not-found", HOME, *NAMESPACES, within_s=300)


@pytest.fixture
def steady(shop: Bookshop, figures: Figures, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Called at the end of a test, it holds what the shoppers were answered since its beginning."""
    begun = {shopper: answers(shop, shopper) for shopper in ("bookbuyer", "bookthief")}

    def holds() -> None:
        buyer, thief = (answers(shop, shopper) - before for shopper, before in begun.items())
        failed = buyer - Counter({"200": buyer["200"]})
        assert buyer["200"], "the buyer did not ask"
        assert not failed, f"of the buyer's requests failed: {dict(failed)}"
        assert not thief["200"], "the thief got in"
        name = request.node.name.removeprefix("test_").replace("_", " ")
        words = f"{buyer['200']} of the buyer's requests, none failed; {thief.total()} of the thief's, none succeeded"
        figures.tell(name, words)

    return holds


def answers(shop: Bookshop, shopper: str) -> Counter[str]:
    """How often a shopper was answered how, since it began."""
    said = shop.raw(shopper)
    return Counter({**said["statuses"], **said["errors"]})


def change_is_live(cluster: Cluster, shop: Bookshop) -> float:
    """Send all requests to the store that gets the fewer, and wait until it answers. Seconds; raises Failed."""
    path = "jsonpath={.spec.backends[0].weight}"
    was = cluster.kubectl("get", "trafficsplit", "bookstore-split", "--namespace=bookstore", f"--output={path}")
    first = int(was) < 50
    backends = [{"service": store, "weight": 100 * (first == (store == STORES[0]))} for store in STORES]
    began = time.monotonic()
    patch = json.dumps({"spec": {"backends": backends}})
    cluster.kubectl(
        *("patch", "trafficsplit", "bookstore-split", "--namespace=bookstore", "--type=merge", f"--patch={patch}")
    )
    other = shop.first("bookbuyer", served_by(STORES[0] if first else STORES[1]))
    # what it was before is over, not only mixed with the new
    shop.first("bookbuyer", lambda burst: not burst.identities.get(STORES[1] if first else STORES[0]))
    return other - began


def eventually(look: Callable[[], T], what: str, within_s: float = SEEN_WITHIN_S) -> T:
    """What it finds, once that is something. Raises Failed."""
    last = time.monotonic() + within_s
    while time.monotonic() < last:
        if found := look():
            return found
        time.sleep(0.2)
    raise Failed(f"{what}: not within {within_s:g} s")


def scaled(cluster: Cluster, replicas: int, app: str = "bookwarehouse") -> None:
    cluster.kubectl("scale", f"--namespace={app}", f"deployment/{app}", f"--replicas={replicas}")


def replaced(cluster: Cluster, app: str = "bookwarehouse") -> None:
    """Wait until it is as it was."""
    scaled(cluster, 1, app)
    cluster.kubectl("rollout", "status", f"--namespace={app}", f"deployment/{app}", "--timeout=240s", within_s=250)


def why_none(cluster: Cluster, namespace: str, deployment: str) -> str:
    """Why a Deployment has no pod, in its own words; empty if it does not say."""
    path = 'jsonpath={.status.conditions[?(@.type=="ReplicaFailure")].message}'
    return cluster.kubectl("get", "deployment", deployment, f"--namespace={namespace}", f"--output={path}")


@LEADERS
def test_a_leader_that_is_deleted_hands_over_at_once(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures, service: str
) -> None:
    with Heart(cluster, service) as heart:
        old, _ = parts.leader(cluster, service)
        with parts.last_words(cluster, old) as lines:
            cluster.kubectl("delete", "pod", old, f"--namespace={HOME}", "--wait=false")
        (told_s,) = [parts.at_s(line) for line in lines if line["event"] == "process ends"]
        _, active_s = parts.leader(cluster, service, other_than=old)
        written = heart.first_after(active_s)
        heart.stop()
    figures.tell(
        f"{service} deleted",
        f"the other leads {active_s - told_s:.2f} s after SIGTERM, and writes after {written.at_s - told_s:.2f} s",
    )
    assert written.at_s - told_s < FAILOVER_WITHIN_S
    parts.settled(cluster, service)
    steady()


@LEADERS
def test_a_leader_that_is_killed_is_replaced_and_nothing_is_lost(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures, service: str
) -> None:
    with Heart(cluster, service) as heart:
        old, since_s = parts.leader(cluster, service)
        began = parts.signal(cluster, old, "SIGKILL")
        active_s = eventually(lambda: newer(cluster, service, since_s), "a leader")
        written = heart.first_after(active_s)
        heart.stop()
    figures.tell(f"{service} killed", f"{written.at_s - began:.2f} s until another's first document")
    assert written.at_s - began < FAILOVER_WITHIN_S
    parts.settled(cluster, service)
    steady()


def newer(cluster: Cluster, service: str, than_s: float) -> float:
    """Since when somebody leads who did not before; 0 if nobody does."""
    states = parts.states(cluster, service).values()
    return max((found.since_s for found in states if found.state == "active" and found.since_s > than_s), default=0.0)


def test_a_pod_that_comes_while_no_endpoints_runs_is_in_the_mesh_as_soon_as_one_does(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures
) -> None:
    with Heart(cluster, "endpoints") as heart:
        _, since_s = parts.leader(cluster, "endpoints")
        for pod in parts.pods(cluster, "endpoints"):
            began = parts.signal(cluster, pod, "SIGKILL")
        scaled(cluster, 2)

        def new(seen: Seen) -> bool:
            return seen.at_s > began and seen.key.startswith("workload.") and "bookwarehouse" in seen.key

        appeared = heart.first(new, "the new pod's workload")
        assert newer(cluster, "endpoints", since_s)
        heart.stop()
    figures.tell("both endpoints killed", f"{appeared.at_s - began:.2f} s until a pod made meanwhile is known")
    replaced(cluster)
    parts.settled(cluster, "endpoints")
    steady()


@LEADERS
def test_a_leader_that_was_paused_past_its_lease_finds_itself_deposed(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures, service: str
) -> None:
    with Heart(cluster, service) as heart:
        old, _ = parts.leader(cluster, service)
        before = parts.restarts(cluster, service, old)
        began = parts.signal(cluster, old, "SIGSTOP")
        try:
            _, active_s = parts.leader(cluster, service, other_than=old)
            written = heart.first_after(active_s)
            time.sleep(max(0.0, began + PAUSED_S - time.time()))
        finally:
            woken = parts.signal(cluster, old, "SIGCONT")
        eventually(lambda: parts.restarts(cluster, service, old) > before, "the woken one's end")
        deposed = time.time() - woken
        words = parts.log(cluster, old, "--previous")
        assert any("is no longer its writer" in json.dumps(line) for line in words)
        heart.stop()
    figures.tell(
        f"{service} paused for {woken - began:.0f} s",
        f"{written.at_s - began:.2f} s until the other's first document; {deposed:.2f} s from waking to its end",
    )
    assert written.at_s - began < FAILOVER_WITHIN_S
    parts.settled(cluster, service)
    steady()


@contextmanager
def no_injector(cluster: Cluster) -> Iterator[None]:
    """It is gone while the context is open, and there again afterwards."""
    cluster.kubectl("scale", f"--namespace={HOME}", "deployment/osm-injector", "--replicas=0")
    try:
        eventually(lambda: not parts.pods(cluster, "injector"), "the injector's end")
        selector = "--selector=app=osm-injector"
        cluster.kubectl("wait", "pods", f"--namespace={HOME}", selector, "--for=delete", "--timeout=60s")
        yield
    finally:
        cluster.kubectl("scale", f"--namespace={HOME}", "deployment/osm-injector", "--replicas=2")
    parts.settled(cluster, "injector")


def test_without_an_injector_meshed_pods_are_refused_and_come_by_themselves_when_it_is_back(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures, namespace: str
) -> None:
    began = time.monotonic()
    with no_injector(cluster):
        scaled(cluster, 2)
        why = eventually(lambda: why_none(cluster, "bookwarehouse", "bookwarehouse"), "the reason")
        assert 'failed calling webhook "osm-inject.k8s.io"' in why
        cluster.apply(POD, namespace)
        cluster.kubectl("wait", "pod/alone", f"--namespace={namespace}", "--for=condition=Ready", "--timeout=60s")
        cluster.kubectl("delete", "pod", "alone", f"--namespace={namespace}")
        live = change_is_live(cluster, shop)
        away = time.monotonic() - began
    back = time.monotonic()
    cluster.kubectl("rollout", "status", "--namespace=bookwarehouse", "deployment/bookwarehouse", "--timeout=240s")
    figures.tell(
        f"injector away for {away:.0f} s",
        f"a policy is live after {live:.2f} s; refused pods are ready {time.monotonic() - back:.1f} s after it is back",
    )
    replaced(cluster)
    steady()


def test_without_an_injector_policies_are_judged_after_they_are_stored(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures
) -> None:
    with pytest.raises(Failed, match="denied the request"):
        cluster.apply(MISPLACED, "bookthief")
    with no_injector(cluster):
        began = time.monotonic()
        cluster.apply(MISPLACED, "bookthief")
        try:
            path = "--output=jsonpath={.status}"
            get = ("get", "traffictarget", "misplaced", "--namespace=bookthief", path)
            status = eventually(lambda: cluster.kubectl(*get), "its status")
            figures.tell("policy judged without injector", f"status after {time.monotonic() - began:.2f} s: {status}")
            assert "bookthief" in status
        finally:
            cluster.kubectl("delete", "traffictarget", "misplaced", "--namespace=bookthief")
    steady()


@pytest.mark.parametrize("service", ["nats", "catalog", "certmgr", "xds", "meshspec,endpoints"])
def test_all_pods_of_a_service_may_go_and_traffic_does_not_stop(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures, service: str
) -> None:
    services = service.split(",")
    old = {pod["metadata"]["uid"] for each in services for pod in parts.pods(cluster, each).values()}
    began = time.monotonic()
    parts.end(cluster, *services)
    live = change_is_live(cluster, shop)
    changed = time.monotonic() - began
    parts.settled(cluster, *services)
    whole = time.monotonic() - began
    again = change_is_live(cluster, shop)
    new = {pod["metadata"]["uid"] for each in services for pod in parts.pods(cluster, each).values()}
    assert new
    assert not new & old
    figures.tell(
        f"{service} deleted",
        f"a change made at once is live after {live:.2f} s ({changed:.2f} s from deletion); all ready after "
        f"{whole:.1f} s; a change then is live after {again:.2f} s",
    )
    steady()
