"""The part of a service's and a pod's document that changes seldom: ports, and what each pod backs. Pure.

Nothing here looks at readiness: policy does not follow it, and a sidecar that waited for its pod to be ready would
wait for itself. Which pods are behind a service is the caller's word (`namespace_documents`).
"""

from collections.abc import Iterable, Sequence

from osm.contracts import endpoints as contracts
from osm.contracts.endpoints import HTTP_PROTOCOLS, Backed, ServicePort, Transparent, Workload, workload_id
from osm.contracts.names import ObjectRef, ServiceName
from osm.contracts.problem import Problem
from services.endpoints.facts import Namespace, Pod, Port, Service

NAMES_SHOWN = 5
"""Pods named in one sentence; of more it says how many."""


def shape(namespace: str, service: Service, behind: Iterable[Pod]) -> contracts.Service:
    """The service's document without its endpoints."""
    meshed = [pod for pod in behind if pod.sidecar]
    return contracts.Service(
        name=ServiceName(namespace, service.name),
        ports=tuple(
            sorted(ServicePort(port=port.port, name=port.name, protocol=port.protocol) for port in service.ports)
        ),
        accounts=tuple(sorted({pod.identity for pod in meshed})),
        virtual_ips=tuple(sorted(service.virtual_ips)),
        pod_ips=_pod_ips(service, meshed),
    )


def workload(namespace: str, pod: Pod, services: Iterable[Service]) -> Workload:
    """A pod with a sidecar, and the service ports it stands behind."""
    backs = [
        Backed(service=ServiceName(namespace, service.name), port=port.port, target_port=target, protocol=port.protocol)
        for service in services
        for port in service.ports
        if (target := _target(pod, port)) is not None
    ]
    return Workload(
        proxy_id=workload_id(namespace, pod.sidecar),
        identity=pod.identity,
        backs=tuple(sorted(backs)),
        interception=Transparent(),
        labels=tuple(sorted(pod.labels.items())),
    )


def problems(where: Namespace, service: Service, behind: Sequence[Pod]) -> tuple[Problem, ...]:
    """What shows once the pods are looked at, beside what is wrong with the service itself."""
    ref = ObjectRef("Service", where.name, service.name)
    unnamed = (_unnamed(ref, port, behind) for port in service.ports)
    found = (_without_sidecar(ref, where, behind), *unnamed)
    return (*service.problems, *(each for each in found if each is not None))


def _pod_ips(service: Service, meshed: list[Pod]) -> tuple[str, ...]:
    """Only where a connection must be known by its address: without a virtual one, and without a Host header."""
    if service.virtual_ips or all(port.protocol in HTTP_PROTOCOLS for port in service.ports):
        return ()
    return tuple(sorted({address for pod in meshed for address in pod.addresses}))


def _target(pod: Pod, port: Port) -> int | None:
    """The container port that serves the service port there; None if this pod has none of that name."""
    return port.target if isinstance(port.target, int) else pod.port_names.get(port.target)


def _without_sidecar(ref: ObjectRef, where: Namespace, behind: Sequence[Pod]) -> Problem | None:
    """Not of pods that are meant to have none."""
    found = sorted((pod for pod in behind if not pod.sidecar and _meant(pod, where) is not False), key=_name)
    if not found:
        return None
    remedy = "restart to get one"
    if not all(_meant(pod, where) for pod in found):
        remedy = f"annotate namespace {where.name} with openservicemesh.io/sidecar-injection: enabled, then restart"
    what = f"{_some(found)} without a sidecar, so the mesh sends no traffic there; {remedy}"
    return Problem(subject=ref, field="spec.selector", what=what, severity="warning")


def _meant(pod: Pod, where: Namespace) -> bool | None:
    """Whether the pod is to have a sidecar: its own word, else its namespace's."""
    return pod.injects if pod.injects is not None else where.injects


def _name(pod: Pod) -> str:
    return pod.name


def _some(pods: Sequence[Pod]) -> str:
    shown = ", ".join(f"Pod {pod.name}" for pod in pods[:NAMES_SHOWN])
    more = f" and {len(pods) - NAMES_SHOWN} more" if len(pods) > NAMES_SHOWN else ""
    return f"{shown}{more} {'run' if len(pods) > 1 else 'runs'}"


def _unnamed(ref: ObjectRef, port: Port, behind: Sequence[Pod]) -> Problem | None:
    """A target port's name that no pod has; not a problem while there are no pods."""
    meshed = [pod for pod in behind if pod.sidecar]
    if not meshed or any(_target(pod, port) is not None for pod in meshed):
        return None
    names = sorted({name for pod in meshed for name in pod.port_names})
    known = f"named are {', '.join(names)}" if names else "none has a name"
    what = f'no selected container has a port named "{port.target}"; {known}'
    return Problem(subject=ref, field=f"{port.field}.targetPort", what=what)
