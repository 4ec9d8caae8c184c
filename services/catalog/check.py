"""The catalog's verdict on a folder of policies, without a mesh: what `osm policy check` prints.

Apart from `state`, which lives from update to update: this is one question and its answer. It decides nothing
itself, so that what passes here passes there.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from osm.bus import Document, Update
from osm.contracts.channels import (
    BARE,
    EGRESS,
    EXTENSION_SERVICE,
    HTTP_ROUTE_GROUP,
    IDENTITY,
    INGRESS_BACKEND,
    MESH_CONFIG,
    RETRY,
    SERVICE,
    TCP_ROUTE,
    TELEMETRY,
    TRAFFIC_SPLIT,
    TRAFFIC_TARGET,
    UPSTREAM_TRAFFIC_SETTING,
    WORKLOAD,
    State,
)
from osm.contracts.egress import Egress
from osm.contracts.endpoints import (
    BareService,
    MeshIdentity,
    Service,
    ServiceEndpoints,
    Transparent,
    Workload,
    workload_id,
)
from osm.contracts.names import Identity, ServiceName
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import (
    IngressBackend,
    Mesh,
    SourceService,
    TrafficSplit,
    TrafficTarget,
)
from osm.contracts.problem import Problem
from osm.contracts.telemetry import Telemetry
from osm.contracts.traffic_settings import Retry, UpstreamTrafficSetting
from services.catalog.state import Catalog

CHANNELS: Mapping[type[Struct], State[Any]] = {
    state.payload: state
    for state in (
        BARE,
        EGRESS,
        EXTENSION_SERVICE,
        HTTP_ROUTE_GROUP,
        IDENTITY,
        INGRESS_BACKEND,
        MESH_CONFIG,
        RETRY,
        SERVICE,
        TCP_ROUTE,
        TELEMETRY,
        TRAFFIC_SPLIT,
        TRAFFIC_TARGET,
        UPSTREAM_TRAFFIC_SETTING,
        WORKLOAD,
    )
}

PLATFORM = "check"
"""Stands for the platform in the key of a service; one service has one key here."""

Endpoints = MeshIdentity | ServiceEndpoints | BareService | Workload


def check(
    policies: Iterable[AnyPolicy], endpoints: Iterable[Endpoints] | None = None, services: Iterable[Service] = ()
) -> tuple[Problem, ...]:
    """Every problem that these would have in a mesh, sorted.

    `endpoints` None: it is not known what runs, so every account that is named is taken to exist, and every service
    too, but in namespaces of which `services` has some: there these are all.
    """
    asked = tuple(policies)
    running = tuple(_assumed(asked, tuple(services)) if endpoints is None else endpoints)
    catalog = Catalog()
    catalog.apply(picture("meshspec", asked), picture("endpoints", running))
    return tuple(sorted(problem for found in catalog.problems.values() for problem in found))


def unjudged(policies: Iterable[AnyPolicy], services: Iterable[Service]) -> tuple[ServiceName, ...]:
    """The services that are named and only taken to exist, as `services` has none of their namespace; sorted."""
    known = {service.name.namespace for service in services}
    return tuple(sorted({name for policy in policies for name in _named(policy) if name.namespace not in known}))


def _assumed(policies: tuple[AnyPolicy, ...], services: tuple[Service, ...]) -> Iterator[Endpoints]:
    yield from (ServiceEndpoints(service=service) for service in services)
    for name in unjudged(policies, services):
        yield ServiceEndpoints(service=Service(name=name, ports=()))
    for policy in policies:
        match policy:
            case TrafficTarget(destination=destination, sources=sources):
                yield from (MeshIdentity(identity=identity) for identity in (destination, *sources))
            case Telemetry(namespace=namespace, name=telemetry, selector=labels) if labels:
                yield _selected(workload_id(namespace, telemetry), labels)
            case Retry(source=who):
                yield MeshIdentity(identity=who)
            case Egress(sources=leaving):
                yield from (MeshIdentity(identity=identity) for identity in leaving)
            case IngressBackend(sources=sources):
                for source in sources:
                    if isinstance(source, SourceService):
                        yield BareService(name=source.service, addresses=("0.0.0.0",))  # noqa: S104  # some address


def _selected(proxy_id: str, labels: tuple[tuple[str, str], ...]) -> Workload:
    account = Identity(proxy_id.rpartition(".")[2], "default")
    return Workload(proxy_id=proxy_id, identity=account, interception=Transparent(), labels=labels)


def _named(policy: AnyPolicy) -> Iterator[ServiceName]:
    """The services that a policy leads to."""
    match policy:
        case TrafficSplit(namespace=namespace, service=root, backends=backends):
            yield ServiceName(namespace, root)
            yield from (ServiceName(namespace, backend.service) for backend in backends)
        case IngressBackend(namespace=namespace, backends=plain, tls_backends=over_tls):
            yield from (ServiceName(namespace, backend.service) for backend in plain)
            yield from (ServiceName(namespace, backend.service) for backend in over_tls)
        case Retry(destinations=destinations):
            yield from destinations
        case UpstreamTrafficSetting(namespace=namespace, service=str(limited)):
            yield ServiceName(namespace, limited)


def picture(bucket: str, values: Iterable[AnyPolicy | Endpoints]) -> Update:
    """A bucket as if these were all that is in it."""
    documents = tuple(
        Document(bucket=bucket, key=key_of(value), value=value, revision=at) for at, value in enumerate(values, 1)
    )
    return Update(bucket=bucket, full=True, documents=documents, revision=len(documents))


def key_of(value: AnyPolicy | Endpoints) -> str:
    channel = CHANNELS[type(value)]
    match value:
        case Mesh():
            return channel.key()
        case MeshIdentity(identity=identity):
            return channel.key(identity.namespace, identity.account)
        case ServiceEndpoints(service=service):
            return channel.key(PLATFORM, service.name.namespace, service.name.name)
        case BareService(name=name):
            return channel.key(PLATFORM, name.namespace, name.name)
        case Workload(proxy_id=proxy_id):
            return channel.key(proxy_id)
        case _:
            return channel.key(value.namespace, value.name)
