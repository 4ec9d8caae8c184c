"""The services and accounts that a folder's objects declare, before anything runs. Pure.

Apart from `join` because it changes only when somebody edits a manifest, while workloads come and go all day.
On this platform every namespace is in the mesh unless it is labelled to be left out.
"""

from collections.abc import Mapping

from msgspec import Struct, structs

from osm.contracts.endpoints import Protocol
from osm.contracts.labels import IGNORE
from osm.contracts.names import ROOT_NAMESPACE, Identity, ObjectRef, ServiceName
from osm.contracts.problem import Problem
from osm.manifests.explicit_ports import offered
from osm.manifests.last_good import InForce, Kept
from osm.manifests.verdicts import problem
from osm.manifests.virtual_ips import assigned
from osm.manifests.workloads import Namespace, Service, ServiceAccount, ServiceSpec
from services.endpoints.protocols import not_carried, spoken

Objects = InForce[Struct]


class DeclaredPort(Struct, frozen=True, kw_only=True):
    """A service port, and which container port serves it (`target`: number or name)."""

    port: int
    name: str
    protocol: Protocol
    target: int | str
    explicit_port: int
    field: str
    """The port's place in its manifest, such as `spec.ports[0]`."""


class DeclaredService(Struct, frozen=True, kw_only=True):
    """A service as its manifest describes it; `selector` is never empty."""

    name: ServiceName
    selector: Mapping[str, str]
    ports: tuple[DeclaredPort, ...]
    ref: ObjectRef
    kept: Kept[Struct]
    virtual_ips: tuple[str, ...] = ()

    def selects(self, labels: Mapping[str, str]) -> bool:
        return self.selector.items() <= labels.items()


class DeclaredServices(Struct, frozen=True, kw_only=True):
    """All services and accounts of meshed namespaces, and what is wrong with the others."""

    services: Mapping[ServiceName, DeclaredService] = {}
    identities: frozenset[Identity] = frozenset()
    ignored: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()


def offers(found: Objects, *, isolated: bool = False) -> DeclaredServices:
    """What the objects in force offer. `isolated`: each service at an address of its own."""
    objects = found.objects
    ignored = {
        each.metadata.name
        for each in objects.values()
        if isinstance(each, Namespace) and IGNORE in each.metadata.labels
    }
    given = offered(objects)
    addresses = assigned(objects) if isolated else {}
    services: dict[ServiceName, DeclaredService] = {}
    identities: set[Identity] = set()
    problems: list[Problem] = []
    for ref, each in objects.items():
        kept = found.kept[ref]
        if ref.namespace in ignored:
            continue
        if isinstance(each, Service):
            offer, wrong = _offer(ref, kept, each, given)
            problems += wrong
            if offer is not None:
                at = addresses.get((ref.namespace, ref.name))
                services[offer.name] = structs.replace(offer, virtual_ips=(at,)) if at is not None else offer
        elif isinstance(each, ServiceAccount):
            if ref.namespace == ROOT_NAMESPACE:
                problems.append(problem(ref, kept, "metadata.namespace", RESERVED))
            else:
                identities.add(Identity(ref.namespace, ref.name))
    return DeclaredServices(
        services=services, identities=frozenset(identities), ignored=frozenset(ignored), problems=tuple(problems)
    )


RESERVED = f"identities in {ROOT_NAMESPACE} are reserved for the control plane; choose another namespace"


def _offer(
    ref: ObjectRef, kept: Kept[Struct], service: Service, given: Mapping[tuple[str, str, int], int]
) -> tuple[DeclaredService | None, list[Problem]]:
    spec = service.spec
    if spec.type == "ExternalName":
        what = "an ExternalName Service has no endpoints in the mesh; allowed are Services with a selector"
        return None, [problem(ref, kept, "spec.type", what)]
    if not spec.selector:
        what = "a Service without a selector has no endpoints on this platform; add the labels of its pods"
        return None, [problem(ref, kept, "spec.selector", what)]
    ports, problems = _ports(ref, kept, spec, given)
    if not spec.ports:
        problems.append(problem(ref, kept, "spec.ports", "a Service without ports offers nothing; add one"))
    name = ServiceName(ref.namespace, ref.name)
    return DeclaredService(name=name, selector=spec.selector, ports=ports, ref=ref, kept=kept), problems


def _ports(
    ref: ObjectRef, kept: Kept[Struct], spec: ServiceSpec, given: Mapping[tuple[str, str, int], int]
) -> tuple[tuple[DeclaredPort, ...], list[Problem]]:
    ports: list[DeclaredPort] = []
    problems: list[Problem] = []
    for index, port in enumerate(spec.ports):
        field = f"spec.ports[{index}]"
        if why := not_carried(port.protocol):
            problems.append(problem(ref, kept, f"{field}.protocol", why))
            continue
        if any(each.port == port.port for each in ports):
            problems.append(problem(ref, kept, f"{field}.port", f"port {port.port} is there twice; the first counts"))
            continue
        protocol, what = spoken(name=port.name, app_protocol=port.app_protocol)
        if what:
            problems.append(problem(ref, kept, f"{field}.appProtocol", what, "warning"))
        ports.append(
            DeclaredPort(
                port=port.port,
                name=port.name,
                protocol=protocol,
                target=port.target_port if port.target_port is not None else port.port,
                explicit_port=given[ref.namespace, ref.name, port.port],
                field=field,
            )
        )
    return tuple(ports), problems
