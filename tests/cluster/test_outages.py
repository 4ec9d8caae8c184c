"""What each outage of the control plane does on a real cluster, while the bookstore's traffic goes on.

Every test begins and ends with a whole mesh, and with `steady`: not one request of the buyer fails meanwhile, and the
thief never gets in. What was measured is told as it goes (`pytest -s`), and as a table at the end.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import pytest

from tests.cluster import parts
from tests.cluster.bookshop import MANIFESTS, NAMESPACES, Bookshop, sold
from tests.cluster.bus import Heart, Seen, revisions
from tests.cluster.figures import Figures
from tests.cluster.node import Cluster, Failed, eventually
from tests.cluster.outage import DEPLOYMENT, MISPLACED, POD, answers, change_is_live, why_none
from tests.cluster.parts import HOME

INSTALLED_WITHIN_S = 330.0
"""Longer than what `osm install` itself gives."""
GONE_WITHIN_S = 300.0
FAILOVER_WITHIN_S = 60.0
"""It takes one to five seconds; on a machine that is busy with other things, a replica may also be slow to start."""
QUIET_S = 3.0
"""Longer than any service collects changes for."""
GONE_ON_S = 15.0
"""Some hundred requests after the last of the control plane is gone."""
PAUSED_S = 10.0
"""Past the lease of 4 s, and short of what liveness probes put up with."""
WAREHOUSE = ("deployment/bookwarehouse", "bookwarehouse")
"""Gets a second pod for a while; the shoppers, whose answers are counted, keep theirs."""
T = TypeVar("T")
LEADERS = pytest.mark.parametrize("service", ["endpoints", "meshspec"])


@pytest.fixture(scope="module")
def shop(cluster: Cluster, images: str) -> Iterator[Bookshop]:
    """The bookstore in a mesh that enforces policies; afterwards nothing of either is left."""
    with ExitStack() as afterwards:  # each of them, whatever becomes of the others
        gone = ("delete", "namespace", "--ignore-not-found", HOME, *NAMESPACES)
        afterwards.callback(cluster.kubectl, *gone, within_s=GONE_WITHIN_S)
        afterwards.callback(cluster.command, "osm", "uninstall", "mesh", "-f", "-a", within_s=INSTALLED_WITHIN_S)
        cluster.command("osm", "install", "--set=osm.enablePermissiveTrafficPolicy=false", within_s=INSTALLED_WITHIN_S)
        cluster.kubectl("apply", "--filename", str(MANIFESTS))
        bookshop = afterwards.enter_context(Bookshop(cluster))
        bookshop.ready()
        bookshop.first("bookbuyer", sold, 50)
        yield bookshop


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


def restored(cluster: Cluster) -> None:
    """Wait until the warehouse is as it was."""
    cluster.scale(*WAREHOUSE, replicas=1)
    cluster.wait("jsonpath={.status.replicas}=1", f"{WAREHOUSE[0]}", namespace=WAREHOUSE[1])
    cluster.rolled_out(*WAREHOUSE)


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
        cluster.scale(*WAREHOUSE, replicas=2)

        def new(seen: Seen) -> bool:
            return seen.at_s > began and seen.key.startswith("workload.") and "bookwarehouse" in seen.key

        appeared = heart.first(new, "the new pod's workload")
        eventually(lambda: newer(cluster, "endpoints", since_s), "a leader that says so")
        heart.stop()
    figures.tell("both endpoints killed", f"{appeared.at_s - began:.2f} s until a pod made meanwhile is known")
    restored(cluster)
    parts.settled(cluster, "endpoints")
    steady()


@LEADERS
def test_a_leader_that_was_paused_past_its_lease_finds_itself_deposed(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures, service: str
) -> None:
    with Heart(cluster, service) as heart:
        old, _ = parts.leader(cluster, service)
        before = parts.restarts(cluster, service)[old]
        with parts.last_words(cluster, old) as lines:
            began = parts.signal(cluster, old, "SIGSTOP")
            try:
                _, active_s = parts.leader(cluster, service, other_than=old)
                written = heart.first_after(active_s)
                time.sleep(max(0.0, began + PAUSED_S - time.time()))
            finally:
                woken = parts.signal(cluster, old, "SIGCONT")
            eventually(lambda: parts.restarts(cluster, service)[old] > before, "the woken one to be started anew")
        (last,) = [line for line in lines if line["event"] == "service failed"]
        assert "is no longer its writer" in last["why"]
        deposed = parts.at_s(last) - woken
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
    cluster.scale("deployment/osm-injector", HOME, 0)
    try:
        eventually(lambda: not parts.pods(cluster, "injector"), "the injector's end")
        cluster.wait("delete", "pods", "--selector=app=osm-injector", namespace=HOME)
        yield
    finally:
        cluster.scale("deployment/osm-injector", HOME, 2)
    parts.settled(cluster, "injector")


def test_without_an_injector_meshed_pods_are_refused_and_come_by_themselves_when_it_is_back(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures, namespace: str
) -> None:
    began = time.monotonic()
    with no_injector(cluster):
        cluster.scale(*WAREHOUSE, replicas=2)
        why = eventually(lambda: why_none(cluster, "bookwarehouse", "bookwarehouse"), "the reason")
        assert 'failed calling webhook "osm-inject.k8s.io"' in why
        cluster.apply(POD, namespace)
        cluster.wait("condition=Ready", "pod/alone", namespace=namespace)
        cluster.kubectl("delete", "pod", "alone", f"--namespace={namespace}")
        live = change_is_live(cluster, shop)
        away = time.monotonic() - began
    back = time.monotonic()
    cluster.rolled_out(*WAREHOUSE)
    figures.tell(
        f"injector away for {away:.0f} s",
        f"a policy is live after {live:.2f} s; refused pods are ready {time.monotonic() - back:.1f} s after it is back",
    )
    restored(cluster)
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


def test_the_api_server_restarts_and_no_service_and_no_proxy_has_anything_to_do(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures
) -> None:
    buckets = ("meshspec", "endpoints", "catalog")
    services = ("catalog", "certmgr", "endpoints", "injector", "meshspec", "xds")
    before, told = at_rest(lambda: (revisions(cluster, *buckets), updates(cluster, shop)))
    begun = {each: parts.restarts(cluster, each) for each in services}
    (api,) = cluster.inside("pidof", "kube-apiserver").split()
    began = time.monotonic()
    cluster.inside("kill", "-KILL", api)
    eventually(lambda: cluster.inside("sh", "-c", "pidof kube-apiserver || :").split() not in ([], [api]), "a new one")
    eventually(lambda: answers_ready(cluster), "the API server")
    back = time.monotonic() - began
    shop.forget()
    for service in ("endpoints", "meshspec"):
        with Heart(cluster, service):
            figures.tell(
                f"{service} after the API server", f"follows again {time.monotonic() - began:.1f} s after its end"
            )
    after = revisions(cluster, *buckets)
    assert without_beats(after) == without_beats(before)
    assert updates(cluster, shop) == told
    assert {each: parts.restarts(cluster, each) for each in services} == begun
    figures.tell("API server restarted", f"it answers after {back:.1f} s; {len(before)} documents, none written again")
    steady()


def at_rest(look: Callable[[], T]) -> T:
    """What it finds, once it finds the same again: a test before may have set things in motion. Raises Failed."""

    def same_again() -> tuple[T, ...]:
        found = look()
        time.sleep(QUIET_S)
        return (found,) if look() == found else ()

    return eventually(same_again, "no more changes")[0]


def without_beats(found: dict[str, int]) -> dict[str, int]:
    return {key: revision for key, revision in found.items() if "beat" not in key}


def answers_ready(cluster: Cluster) -> bool:
    try:
        return cluster.kubectl("get", "--raw=/readyz") == "ok"
    except Failed:
        return False


def updates(cluster: Cluster, shop: Bookshop) -> dict[str, list[str]]:
    """How often each sidecar was given clusters, listeners, endpoints, routes and secrets, as it counts itself.

    Where xds is it looks up in the DNS time and again; that counts as an update too.
    """
    found = {}
    for app, pod in shop.pods().items():
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        get = ("osm", "proxy", "get", "stats", name, f"--namespace={namespace}", "--filter=update_success")
        said = cluster.command(*get, f"--kubeconfig={cluster.kubeconfig}")
        found[app] = [line for line in said.splitlines() if not line.startswith("cluster.osm-xds.")]
    return found


def test_a_pod_that_ran_before_its_namespace_was_added_is_named(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], namespace: str
) -> None:
    cluster.apply(POD, namespace)
    cluster.wait("condition=Ready", "pod/alone", namespace=namespace)
    cluster.command("osm", "namespace", "add", namespace)
    words = f"namespace [{namespace}]: 1 pod runs without a sidecar (alone)"
    eventually(lambda: words in cluster.command("osm", "check"), words)
    words = "Pod alone runs without a sidecar"
    eventually(lambda: words in cluster.command("osm", "status", f"--kubeconfig={cluster.kubeconfig}"), words)
    steady()


def test_pods_that_pod_security_would_not_let_run_are_refused_with_the_reason(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], namespace: str
) -> None:
    cluster.kubectl("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    cluster.command("osm", "namespace", "add", namespace)
    cluster.apply(DEPLOYMENT, namespace)
    why = eventually(lambda: why_none(cluster, namespace, "confined"), "the reason")
    assert "enforces Pod Security level restricted, which forbids the capability NET_ADMIN" in why
    assert "no pod of confined" in failing(cluster)
    steady()


def failing(cluster: Cluster) -> str:
    """What `osm check` says of a mesh with errors."""
    with pytest.raises(Failed) as failed:
        cluster.command("osm", "check")
    return str(failed.value)


def test_a_sidecars_secret_is_made_again_and_goes_with_its_pod(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None], figures: Figures, namespace: str
) -> None:
    cluster.command("osm", "namespace", "add", namespace)
    cluster.apply(DEPLOYMENT.replace("spec:", "spec:\n  replicas: 2", 1), namespace)
    cluster.rolled_out("deployment/confined", namespace)
    made = secrets(cluster, namespace)
    assert len(made) == 2
    name = min(made)
    began = time.monotonic()
    cluster.kubectl("delete", "secret", name, f"--namespace={namespace}")
    eventually(lambda: secrets(cluster, namespace).get(name, made[name]) != made[name], "another Secret of that name")
    again = time.monotonic() - began
    began = time.monotonic()
    cluster.scale("deployment/confined", namespace, 1)
    (left,) = eventually(lambda: one(secrets(cluster, namespace)), "the end of one")
    pod = cluster.kubectl(
        "get", "pods", f"--namespace={namespace}", "--output=jsonpath={.items[*].metadata.labels.osm-proxy-uuid}"
    )
    assert left.removeprefix("envoy-bootstrap-config-") in pod
    cluster.scale("deployment/confined", namespace, 0)
    eventually(lambda: not secrets(cluster, namespace), "the end of all")
    figures.tell("Secrets", f"one deleted by hand is made again in {again:.2f} s; of pods scaled away none is left")
    steady()


def one(found: dict[str, str]) -> list[str]:
    return list(found) if len(found) == 1 else []


def secrets(cluster: Cluster, namespace: str) -> dict[str, str]:
    """The Secrets of sidecars in a namespace, by name: their uids."""
    template = '{range .items[*]}{.metadata.name} {.metadata.uid}{"\\n"}{end}'
    get = ("get", "secrets", f"--namespace={namespace}", "--selector=osm-proxy-uuid", f"--output=jsonpath={template}")
    return dict(line.split() for line in cluster.kubectl(*get).splitlines())


def test_apps_go_on_when_the_mesh_is_uninstalled_until_they_are_restarted(
    cluster: Cluster, shop: Bookshop, steady: Callable[[], None]
) -> None:
    cluster.command("osm", "uninstall", "mesh", "-f", within_s=INSTALLED_WITHIN_S)
    time.sleep(GONE_ON_S)
    steady()
    cluster.kubectl("rollout", "restart", "--namespace=bookthief", "deployment/bookthief")
    cluster.rolled_out("deployment/bookthief", "bookthief")
    pod = shop.pods()["bookthief"]["spec"]
    assert [each["name"] for each in (*pod.get("initContainers", ()), *pod["containers"])] == ["bookthief"]
