"""Why a pod does not start, as a table: what Kubernetes says, and the sentence that a person gets."""

from typing import Any

import msgspec
import pytest

from osm.cli.kubernetes.control_plane_state import ControlPlaneState
from osm.cli.kubernetes.kubernetes_objects import Event, Pod, Workload
from osm.cli.kubernetes.pod_problems import advice, of_pod, troubles
from osm.cli.kubernetes.progress import Seen, post_mortem, summary


def pod(name: str = "osm-xds-1", **status: Any) -> Pod:
    return msgspec.convert({"metadata": {"name": name, "namespace": "osm-system"}, "status": status}, Pod)


def container(name: str = "xds", **status: Any) -> dict[str, Any]:
    return {"name": name, "image": "registry/osm-xds:1", **status}


def workload(name: str, ready: int, conditions: list[dict[str, str]] | None = None) -> Workload:
    status = {"readyReplicas": ready, "updatedReplicas": ready, "observedGeneration": 1, "conditions": conditions or []}
    return msgspec.convert({"metadata": {"name": name, "generation": 1}, "status": status}, Workload)


def event(name: str, reason: str, message: str, at: str = "2026-01-01T00:00:00Z") -> Event:
    about = {"kind": "Pod", "name": name}
    said = {"type": "Warning", "reason": reason, "message": message, "involvedObject": about, "lastTimestamp": at}
    return msgspec.convert({"metadata": {"name": "e"}, **said}, Event)


UNSCHEDULABLE = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: Insufficient memory."}
PULL = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "i:1": ErrImagePull: i/o timeout'}}
CRASH: dict[str, Any] = {
    "state": {"waiting": {"reason": "CrashLoopBackOff"}},
    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
    "restartCount": 3,
}


@pytest.mark.parametrize(
    ("status", "words", "stuck"),
    [
        ({"phase": "Pending", "conditions": [UNSCHEDULABLE]}, "no node takes it: 0/1 nodes are available", True),
        (
            {"phase": "Pending", "containerStatuses": [container(state=PULL)]},
            "image registry/osm-xds:1 cannot be pulled (i/o timeout)",
            True,
        ),
        (
            {"phase": "Running", "containerStatuses": [container(**CRASH)]},
            "container xds keeps ending (OOMKilled, exit code 137; 3 restarts)",
            True,
        ),
        (
            {"phase": "Running", "containerStatuses": [container(state={"terminated": {"exitCode": 1}})]},
            "container xds ended (exit code 1)",
            False,
        ),
        (
            {
                "phase": "Pending",
                "containerStatuses": [
                    container(state={"waiting": {"reason": "CreateContainerConfigError", "message": "no such key"}})
                ],
            },
            "container xds cannot start (no such key)",
            True,
        ),
        (
            {"phase": "Pending", "containerStatuses": [container(state={"waiting": {"reason": "ContainerCreating"}})]},
            "container xds is being started",
            False,
        ),
        ({"phase": "Running", "containerStatuses": [container(ready=False)]}, "runs and is not ready yet (xds)", False),
        ({"phase": "Failed", "reason": "Evicted", "message": "The node was low on disk"}, "failed: The node was", True),
    ],
    ids=["no node", "no image", "crash", "ended", "no key", "creating", "unready", "evicted"],
)
def test_a_pod_that_is_not_ready_says_why(status: dict[str, Any], words: str, stuck: bool) -> None:
    found = of_pod(pod(**status))
    assert found is not None
    assert words in found.why
    assert found.stuck is stuck


def test_a_pod_that_is_ready_or_done_is_no_trouble() -> None:
    assert of_pod(pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}])) is None
    assert of_pod(pod(phase="Succeeded")) is None


def test_a_pod_that_hangs_says_what_the_newest_event_says() -> None:
    hanging = pod(phase="Pending", containerStatuses=[container(state={"waiting": {"reason": "ContainerCreating"}})])
    events = (
        event("osm-xds-1", "FailedMount", 'secret "osm-nats-xds" not found', "2026-01-01T00:00:02Z"),
        event("osm-xds-1", "FailedMount", "an older one"),
        event("osm-xds-1", "BackOff", "says nothing new", "2026-01-01T00:00:03Z"),
    )
    (found,) = troubles((), (hanging,), events)
    assert str(found) == "pod osm-xds-1: waits for Secret osm-nats-xds"


def test_a_warning_of_the_start_is_forgotten_once_the_pod_runs() -> None:
    running = pod(phase="Running", containerStatuses=[container(ready=False)])
    (found,) = troubles((), (running,), (event("osm-xds-1", "FailedMount", 'secret "osm-nats-xds" not found'),))
    assert found.why == "runs and is not ready yet (xds)"
    assert found.speaker == "xds"


def test_a_workload_that_can_make_no_pods_says_who_forbids_it() -> None:
    forbidden = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    (found,) = troubles((workload("osm-xds", 0, [forbidden]),), (), ())
    assert str(found) == "osm-xds: no pod can be made: exceeded quota"
    assert found.stuck


def test_a_workload_is_not_told_beside_its_pod() -> None:
    starting = pod(phase="Running", containerStatuses=[container(ready=False)])
    assert [each.subject for each in troubles((workload("osm-xds", 0),), (starting,), ())] == ["pod osm-xds-1"]


def test_progress_is_a_line_with_counts_and_the_first_reasons() -> None:
    parts = (workload("osm-nats", 1), workload("osm-xds", 0))
    starting = pod(phase="Running", containerStatuses=[container(ready=False)])
    found = ControlPlaneState(workloads=parts, troubles=troubles(parts, (starting,), ()))
    assert summary(found) == "1 of 2 ready; not yet osm-xds"
    unpulled = pod("osm-xds-2", phase="Pending", containerStatuses=[container(state=PULL)])
    reasons = ControlPlaneState(workloads=parts, troubles=troubles(parts, (starting, unpulled), ()))
    assert summary(reasons).startswith("1 of 2 ready; not yet osm-xds; image registry/osm-xds:1 cannot be pulled")
    assert summary(ControlPlaneState()) == ""
    seen = Seen("osm-system")
    assert seen.news(found) == summary(found)
    assert seen.news(found) == ""


def test_what_was_seen_outlives_a_rollback_with_last_words_and_advice() -> None:
    crashed = pod(phase="Running", containerStatuses=[container(**CRASH)])
    unpulled = pod("osm-catalog-1", phase="Pending", containerStatuses=[container(state=PULL)])
    seen = Seen("osm-system")
    pods = (crashed, unpulled)
    seen.news(ControlPlaneState(workloads=(workload("osm-xds", 0),), pods=pods, troubles=troubles((), pods, ())))
    seen.words["pod osm-xds-1"] = "first\nlast"
    seen.news(ControlPlaneState())
    assert list(post_mortem(seen)) == [
        "pod osm-catalog-1: image registry/osm-xds:1 cannot be pulled (i/o timeout)",
        "pod osm-xds-1: container xds keeps ending (OOMKilled, exit code 137; 3 restarts)",
        "    first",
        "    last",
    ]
    assert "osm.image.registry" in " ".join(advice(seen.troubles))


def test_a_trouble_is_forgotten_once_its_pod_is_ready() -> None:
    unpulled = pod(phase="Pending", containerStatuses=[container(state=PULL)])
    seen = Seen("osm-system")
    seen.news(ControlPlaneState(pods=(unpulled,), troubles=troubles((), (unpulled,), ())))
    assert len(seen.troubles) == 1
    seen.news(ControlPlaneState(pods=(pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}]),)))
    assert seen.troubles == ()


def test_a_rollout_that_waits_to_replace_pods_says_so() -> None:
    old = {"readyReplicas": 2, "updatedReplicas": 1, "observedGeneration": 1}
    rolling = msgspec.convert(
        {"metadata": {"name": "osm-xds", "generation": 1}, "spec": {"replicas": 2}, "status": old}, Workload
    )
    (found,) = troubles((rolling,), (), ())
    assert str(found) == "osm-xds: 1 of 2 are of the new version"
