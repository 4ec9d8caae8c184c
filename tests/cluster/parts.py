"""The control plane's pods in a cluster: who leads, and how to do them harm."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from tests.cluster.node import Cluster, Failed

HOME = "osm-system"
ENDS_WITHIN_S = 180.0
"""Of a pod: it is given 30 s to end by itself."""


LEADS_WITHIN_S = 180.0
"""kubelet makes a program that has ended twice wait, so both replicas may be away for a while."""


class State(NamedTuple):
    """What a replica last said of itself, and when (seconds since the epoch)."""

    state: str
    since_s: float


def pods(cluster: Cluster, service: str) -> dict[str, dict[str, Any]]:
    """The pods of a service that are not on their way out, by name."""
    said = cluster.kubectl("get", "pods", f"--namespace={HOME}", f"--selector=app=osm-{service}", "--output=json")
    return {
        pod["metadata"]["name"]: pod for pod in json.loads(said)["items"] if "deletionTimestamp" not in pod["metadata"]
    }


def log(cluster: Cluster, pod: str, *options: str) -> list[dict[str, Any]]:
    """The structured lines of its log."""
    said = cluster.kubectl("logs", f"--namespace={HOME}", pod, *options)
    return [json.loads(line) for line in said.splitlines() if line.startswith("{")]


@contextmanager
def last_words(cluster: Cluster, pod: str) -> Iterator[list[dict[str, Any]]]:
    """The structured lines of its whole log, its end included, once the context is closed."""
    command = ["kubectl", "logs", f"--namespace={HOME}", pod, "--follow"]
    lines: list[dict[str, Any]] = []
    with subprocess.Popen(command, env=dict(cluster.environment), stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout
        try:
            following.stdout.readline()  # it is connected
            yield lines
            said, _ = following.communicate(timeout=ENDS_WITHIN_S)
        finally:
            following.kill()
    lines += [json.loads(line) for line in said.splitlines() if line.startswith("{")]


def at_s(line: Mapping[str, Any]) -> float:
    """When a line was written (seconds since the epoch)."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def states(cluster: Cluster, service: str) -> dict[str, State]:
    """By pod; those that have said nothing yet are left out."""
    found = {}
    for pod in pods(cluster, service):
        try:
            lines = log(cluster, pod)
        except Failed:  # its container is not there yet
            continue
        for line in lines:
            if line["event"] == "service state changed":
                found[pod] = State(line["state"], at_s(line))
    return found


def leader(
    cluster: Cluster, service: str, *, other_than: str = "", within_s: float = LEADS_WITHIN_S
) -> tuple[str, float]:
    """The pod that writes, and since when; waited for. Raises Failed."""
    last = time.monotonic() + within_s
    while time.monotonic() < last:
        active = {pod: found for pod, found in states(cluster, service).items() if found.state == "active"}
        active.pop(other_than, None)
        if active:
            newest = max(active, key=lambda pod: active[pod].since_s)
            return newest, active[newest].since_s
        time.sleep(0.1)
    raise Failed(f"{service}: none but {other_than or 'nobody'} became active within {within_s:g} s")


def settled(cluster: Cluster, *services: str) -> None:
    """Wait until all replicas are ready. Raises Failed."""
    for service in services:
        kind = "statefulset" if service == "nats" else "deployment"
        cluster.rolled_out(f"{kind}/osm-{service}", HOME)


def end(cluster: Cluster, *services: str) -> None:
    """Delete all their pods, as a drained node does; it does not wait."""
    selector = ",".join(f"osm-{service}" for service in services)
    cluster.kubectl("delete", "pods", f"--namespace={HOME}", f"--selector=app in ({selector})", "--wait=false")


def signal(cluster: Cluster, pod: str, name: str) -> float:
    """Send a signal to the process of the pod, as no Kubernetes would; when that was."""
    service = next(iter(pod.removeprefix("osm-").split("-")))
    (status,) = pods(cluster, service)[pod]["status"]["containerStatuses"]
    container = status["containerID"].removeprefix("containerd://")
    cluster.inside("ctr", "--namespace=k8s.io", "tasks", "kill", f"--signal={name}", container)
    return time.time()


def restarts(cluster: Cluster, service: str) -> dict[str, int]:
    """How often the container of each pod was started again."""
    return {
        name: sum(status["restartCount"] for status in pod["status"].get("containerStatuses", ()))
        for name, pod in pods(cluster, service).items()
    }
