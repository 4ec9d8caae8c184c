"""Joins services and workloads into the documents that the mesh needs of them. Pure.

A service's accounts and what a workload backs follow from labels, never from readiness: only endpoints do.
"""

from collections.abc import Iterable

from msgspec import Struct

from osm.contracts.endpoints import (
    Backed,
    Endpoint,
    Explicit,
    LocalWorkload,
    Service,
    ServiceEndpoints,
    ServicePort,
    Workload,
)
from osm.contracts.names import Address
from osm.contracts.problem import Problem
from osm.manifests.verdicts import problem
from services.endpoints.declared_services import DeclaredPort, DeclaredService


class Joined(Struct, frozen=True, kw_only=True):
    """One service's document, and what is wrong with it given what runs."""

    document: ServiceEndpoints
    problems: tuple[Problem, ...] = ()


def join(offer: DeclaredService, neighbours: Iterable[LocalWorkload]) -> Joined:
    """A service with the workloads of its namespace."""
    selected = [each for each in neighbours if offer.selects(dict(each.labels))]
    service = Service(
        name=offer.name,
        ports=tuple(
            sorted(
                ServicePort(port=port.port, name=port.name, protocol=port.protocol, explicit_port=port.explicit_port)
                for port in offer.ports
            )
        ),
        accounts=tuple(sorted({each.identity for each in selected})),
        virtual_ips=offer.virtual_ips,
    )
    endpoints = [
        Endpoint(port=port.port, address=address, identity=each.identity)
        for port in offer.ports
        for each in selected
        if each.ready and (address := _listens(each, port)) is not None
    ]
    problems = [found for port in offer.ports if (found := _unserved(offer, port, selected)) is not None]
    return Joined(
        document=ServiceEndpoints(service=service, endpoints=tuple(sorted(endpoints))), problems=tuple(problems)
    )


def workload(local: LocalWorkload, offers: Iterable[DeclaredService]) -> Workload:
    """A workload with the services of its namespace that select it."""
    labels = dict(local.labels)
    backs = [
        Backed(service=offer.name, port=port.port, target_port=target, protocol=port.protocol)
        for offer in offers
        if offer.selects(labels)
        for port in offer.ports
        if (target := _target(local, port)) is not None
    ]
    return Workload(
        proxy_id=local.id,
        identity=local.identity,
        backs=tuple(sorted(backs)),
        interception=local.interception,
        labels=tuple(sorted(local.labels)),
    )


def _target(local: LocalWorkload, port: DeclaredPort) -> int | None:
    """The container port that serves the service port there; None if this workload has none of that name."""
    if isinstance(port.target, int):
        return port.target
    return dict(local.port_names).get(port.target)


def _listens(local: LocalWorkload, port: DeclaredPort) -> Address | None:
    """Where the sidecar accepts connections for the service port."""
    target = _target(local, port)
    if not isinstance(local.interception, Explicit):
        return Address(local.host, target) if target is not None else None
    return next((each.listen for each in local.interception.inbound if each.target_port == target), None)


def _unserved(offer: DeclaredService, port: DeclaredPort, selected: list[LocalWorkload]) -> Problem | None:
    """A port that no selected workload declares; not a problem while nothing is selected."""
    if not selected or any(_listens(each, port) is not None for each in selected):
        return None
    field = f"{port.field}.targetPort"
    if isinstance(port.target, str):
        names = sorted({name for each in selected for name, _ in each.port_names})
        known = f"named are {', '.join(names)}" if names else "none has a name"
        what = f'no selected container has a port named "{port.target}"; {known}'
    else:
        what = (
            f"no selected container declares port {port.target}; "
            f"add `- containerPort: {port.target}` to the ports of the container that listens there"
        )
    return problem(offer.ref, offer.kept, field, what)
