"""Why a pod is not ready, in a sentence: what the scheduler, the kubelet and the container itself have said.

Pure: pods and events in, sentences out. `osm install` says them while it waits, `osm check` afterwards.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from osm.cli.kubernetes.kubernetes_objects import ContainerStatus, Event, Pod, Terminated, Workload

PULL_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"}
)
CRASH_REASONS = frozenset({"CrashLoopBackOff", "RunContainerError", "StartError"})
QUIET_REASONS = frozenset({"PodInitializing", "ContainerCreating"})
"""Ordinary steps of a start; events say it if one of them hangs."""

TOLD_BY_STATE = frozenset({"BackOff", "Unhealthy", "Failed", "FailedScheduling"})
"""Events that only repeat what a pod's own state says better."""


_PULLING = re.compile(
    r"^(?:(?:Back-off pulling image|failed to pull and unpack image|failed to resolve reference) \"[^\"]*\"(?:: |$)"
    r"|ErrImagePull: )+"
)
"""What kubelet and containerd each put before the cause; the image is named already."""


class Trouble(Struct, frozen=True, kw_only=True):
    """One thing that is not ready, and why. `speaker` names the container whose last words say more.

    `stuck`: it does not get better by waiting alone; `ordinary`: every start comes through it.
    """

    subject: str
    why: str
    remedy: str = ""
    speaker: str = ""
    stuck: bool = False
    ordinary: bool = False

    def __str__(self) -> str:
        return f"{self.subject}: {self.why}"


def troubles(workloads: Iterable[Workload], pods: Iterable[Pod], events: Iterable[Event]) -> tuple[Trouble, ...]:
    """What keeps the workloads from being ready, sorted; their pods say it, or they themselves if they have none."""
    warned = _newest_warnings(events)
    of_pods = [
        trouble for pod in pods if (trouble := of_pod(pod, warned.get(("Pod", pod.metadata.name), ""))) is not None
    ]
    told = {trouble.subject.removeprefix("pod ") for trouble in of_pods}
    of_workloads = [
        Trouble(subject=each.metadata.name, why=_of_workload(each), stuck=bool(_refusal(each)))
        for each in workloads
        if not each.ready and not any(pod.startswith(f"{each.metadata.name}-") for pod in told)
    ]
    return tuple(sorted([*of_pods, *of_workloads], key=lambda trouble: trouble.subject))


def of_pod(pod: Pod, warned: str = "") -> Trouble | None:
    """What is wrong with a pod; None if it is ready, done or on its way out. `warned`: its newest warning event."""
    if pod.status.phase == "Succeeded" or pod.metadata.going or pod.ready:
        return None
    subject = f"pod {pod.metadata.name}"
    scheduled = next((each for each in pod.status.conditions if each.type == "PodScheduled"), None)
    if scheduled is not None and scheduled.status == "False":
        remedy = "make room on the nodes, or ask for less with --set osm.<part>.resource.requests"
        return Trouble(subject=subject, why=f"no node takes it: {scheduled.message}", remedy=remedy, stuck=True)
    if pod.status.phase == "Failed":
        return Trouble(subject=subject, why=f"failed: {pod.status.message or pod.status.reason}", stuck=True)
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    told = next((trouble for each in statuses if (trouble := _of_container(subject, each)) is not None), None)
    if told is not None:
        return told
    if pod.status.phase == "Running":
        unready = [each.name for each in pod.status.container_statuses if not each.ready]
        why = f"runs and is not ready yet ({', '.join(unready) or 'a readiness gate'})"
        return Trouble(subject=subject, why=why, speaker=next(iter(unready), ""), ordinary=True)
    return Trouble(subject=subject, why=_mount(warned) or _being_started(statuses), ordinary=not warned)


def _of_container(subject: str, status: ContainerStatus) -> Trouble | None:
    waiting, ended = status.state.waiting, status.state.terminated
    if waiting is not None and waiting.reason in PULL_REASONS:
        cause = _PULLING.sub("", waiting.message) or waiting.reason
        why = f"image {status.image or 'of ' + status.name} cannot be pulled ({cause})"
        remedy = "check --set osm.image.registry and osm.image.tag, and that the nodes may pull from there"
        return Trouble(subject=subject, why=why, remedy=remedy, stuck=True)
    if waiting is not None and waiting.reason in CRASH_REASONS:
        before = status.last_state.terminated
        how = _end(before) if before is not None else waiting.message or waiting.reason
        why = f"container {status.name} keeps ending ({how}; {status.restart_count} restarts)"
        return Trouble(subject=subject, why=why, speaker=status.name, stuck=True)
    if waiting is not None and waiting.reason and waiting.reason not in QUIET_REASONS:
        why = f"container {status.name} cannot start ({waiting.message or waiting.reason})"
        return Trouble(subject=subject, why=why, stuck=True)
    if ended is not None and ended.exit_code != 0:
        why = f"container {status.name} ended ({_end(ended)})"
        return Trouble(subject=subject, why=why, speaker=status.name)
    return None


def _end(ended: Terminated) -> str:
    reason = f"{ended.reason}, " if ended.reason not in ("", "Error") else ""
    message = f": {ended.message}" if ended.message else ""
    return f"{reason}exit code {ended.exit_code}{message}"


def _being_started(statuses: tuple[ContainerStatus, ...]) -> str:
    starting = next((each.name for each in statuses if each.state.waiting is not None), "")
    return f"container {starting} is being started" if starting else "it is being started"


def _mount(warned: str) -> str:
    """A missing Secret is the one warning of every start; others are told as they are."""
    found = re.search(r'(secret|configmap) "([^"]+)" not found', warned)
    return f"waits for {found[1].capitalize()} {found[2]}" if found else warned


def _of_workload(workload: Workload) -> str:
    ready, new, wanted = workload.status.ready_replicas, workload.status.updated_replicas, workload.spec.replicas
    counted = f"{ready} of {wanted} ready" if ready < wanted else f"{new} of {wanted} are of the new version"
    return _refusal(workload) or counted


def _refusal(workload: Workload) -> str:
    """Why the controller cannot make pods at all: a quota, or the namespace's pod security."""
    failed = (each for each in workload.status.conditions if each.type == "ReplicaFailure" and each.status == "True")
    return next((f"no pod can be made: {each.message}" for each in failed), "")


def _newest_warnings(events: Iterable[Event]) -> Mapping[tuple[str, str], str]:
    """(kind, name) → the newest warning that says something new."""
    warnings = [each for each in events if each.type == "Warning" and each.reason not in TOLD_BY_STATE]
    ordered = sorted(warnings, key=lambda each: each.at)
    return {(each.involved_object.kind, each.involved_object.name): each.message.strip() for each in ordered}


def advice(found: Iterable[Trouble]) -> Iterator[str]:
    """The remedies, each once, in the order of their troubles."""
    yield from dict.fromkeys(trouble.remedy for trouble in found if trouble.remedy)
