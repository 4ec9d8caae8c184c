"""Reads Kubernetes objects into the `facts` that are kept of them, object by object. Pure.

The only reader of Kubernetes' own words here: labels, annotations, phases, `None` as an address.
"""

import re
from collections.abc import Mapping

from osm.contracts.labels import INJECTION, PROXY_UUID, monitored, switched
from osm.contracts.names import ROOT_NAMESPACE, Identity, ObjectRef
from osm.contracts.problem import Problem
from osm.k8s import objects
from osm.manifests.verdicts import generation
from services.endpoints.facts import Namespace, Pod, Port, Service, Slice, Spot
from services.endpoints.protocols import not_carried, spoken

SERVICE_NAME = "kubernetes.io/service-name"

ENDED = frozenset({"Succeeded", "Failed"})
"""Phases of pods that will never serve again and whose Envoy has gone; their address may be another's by now."""

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""What a proxy id's unique part may be; labels of Kubernetes may hold more, written by whoever wrote the pod."""


def namespace(seen: objects.Namespace, *, mesh: str, control_plane: str) -> Namespace:
    """In the mesh: labelled with its name, not left out, and no place where the control plane's identities are."""
    name = seen.metadata.name
    reserved = name in (control_plane, ROOT_NAMESPACE)
    return Namespace(
        name=name,
        meshed=monitored(seen.metadata.labels, mesh) and not reserved,
        injects=_injects(seen.metadata.annotations),
    )


def pod(seen: objects.Pod) -> Pod | None:
    """None for one that has ended."""
    if seen.status.phase in ENDED:
        return None
    meta, spec = seen.metadata, seen.spec
    sidecar = meta.labels.get(PROXY_UUID, "")
    sidecars = tuple(each for each in spec.init_containers if each.restart_policy == "Always")
    return Pod(
        name=meta.name,
        uid=meta.uid,
        identity=Identity(meta.namespace, spec.service_account_name or "default"),
        labels=meta.labels,
        sidecar=sidecar if _LABEL.fullmatch(sidecar) else "",
        port_names={
            port.name: port.container_port
            for container in (*sidecars, *spec.containers)
            for port in container.ports
            if port.name and port.protocol == "TCP"
        },
        addresses=tuple(dict.fromkeys(each for each in (seen.status.pod_ip, *_ips(seen.status)) if each)),
        injects=_injects(meta.annotations),
    )


def service(seen: objects.Service) -> Service | None:
    """None for an ExternalName: that is another name for something outside, which egress rules are for."""
    meta, spec = seen.metadata, seen.spec
    if spec.type == "ExternalName":
        return None
    ref = ObjectRef("Service", meta.namespace, meta.name)
    ports: list[Port] = []
    problems: list[Problem] = []
    for at, port in enumerate(spec.ports):
        field = f"spec.ports[{at}]"
        if why := not_carried(port.protocol):
            problems.append(_warning(ref, f"{field}.protocol", why))
            continue
        protocol, what = spoken(name=port.name, app_protocol=port.app_protocol or None)
        if what:
            problems.append(_warning(ref, f"{field}.appProtocol", what))
        ports.append(
            Port(port=port.port, name=port.name, protocol=protocol, target=port.target_port or port.port, field=field)
        )
    return Service(
        name=meta.name,
        selector=spec.selector,
        ports=tuple(ports),
        virtual_ips=_virtual_ips(spec),
        problems=tuple(problems),
        generation=generation(spec),
    )


def slice_(seen: objects.EndpointSlice) -> Slice | None:
    """None for one that is no service's, or that speaks of names instead of addresses."""
    owner = seen.metadata.labels.get(SERVICE_NAME, "")
    if not owner or seen.address_type not in ("IPv4", "IPv6"):
        return None
    return Slice(
        service=owner,
        ports={port.name: port.port for port in seen.ports if port.protocol == "TCP" and port.port},
        spots=tuple(_spot(each, seen.metadata.namespace) for each in seen.endpoints if each.addresses),
    )


def _spot(seen: objects.SliceEndpoint, namespace: str) -> Spot:
    """Of its addresses the first counts, as in kube-proxy: the others are the same place. Unsaid means ready.

    Who writes slices by hand may name any pod: one of another namespace is not the pod of that name in this one.
    """
    conditions, target = seen.conditions, seen.target_ref
    is_pod = target is not None and target.kind == "Pod" and target.namespace in ("", namespace)
    ready = conditions.ready is not False
    serving = conditions.serving if conditions.serving is not None else ready
    return Spot(
        address=seen.addresses[0],
        ready=ready,
        draining=serving and conditions.terminating is True,
        pod=target.name if target is not None and is_pod else "",
        pod_uid=target.uid if target is not None and is_pod else "",
        zone=seen.zone,
    )


def _virtual_ips(spec: objects.ServiceSpec) -> tuple[str, ...]:
    given = spec.cluster_ips or (spec.cluster_ip,)
    return tuple(each for each in given if each and each != "None")


def _ips(status: objects.PodStatus) -> tuple[str, ...]:
    return tuple(each.ip for each in status.pod_ips)


def _injects(annotations: Mapping[str, str]) -> bool | None:
    """What the injection annotation says; the injector refuses pods with any other word."""
    return switched(annotations.get(INJECTION, ""))


def _warning(ref: ObjectRef, field: str, what: str) -> Problem:
    return Problem(subject=ref, field=field, what=what, severity="warning")
