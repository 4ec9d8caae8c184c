"""One service out of what each platform says of it.

A service may run on several platforms under one name (pods and processes, say); clients see one.
Platforms are asked in the order of their names, so that the outcome never depends on who spoke first.
"""

from collections.abc import Mapping

from msgspec import Struct, structs

from osm.contracts.endpoints import Endpoint, Service, ServiceEndpoints, ServicePort
from osm.contracts.names import Port, ServiceName
from osm.contracts.problem import Problem
from services.catalog.reference_lookup import service as service_ref


class Merged(Struct, frozen=True, kw_only=True):
    """The service as clients see it, with every ready endpoint."""

    service: Service
    endpoints: tuple[Endpoint, ...]
    problems: tuple[Problem, ...] = ()


def merge(name: ServiceName, platforms: Mapping[str, ServiceEndpoints]) -> Merged | None:
    """None if no platform has the service."""
    if not platforms:
        return None
    if len(platforms) == 1:
        (only,) = platforms.values()
        return Merged(service=only.service, endpoints=only.endpoints)
    parts = [platforms[platform] for platform in sorted(platforms)]
    ports, problems = _ports(name, platforms)
    return Merged(
        service=Service(
            name=name,
            ports=ports,
            accounts=tuple(sorted({account for part in parts for account in part.service.accounts})),
            virtual_ips=tuple(sorted({address for part in parts for address in part.service.virtual_ips})),
            pod_ips=tuple(sorted({address for part in parts for address in part.service.pod_ips})),
        ),
        endpoints=tuple(sorted({endpoint for part in parts for endpoint in part.endpoints})),
        problems=problems,
    )


def _ports(
    name: ServiceName, platforms: Mapping[str, ServiceEndpoints]
) -> tuple[tuple[ServicePort, ...], tuple[Problem, ...]]:
    """Ports by number. Where platforms differ on a protocol the first platform by name is right."""
    ports: dict[Port, ServicePort] = {}
    first: dict[Port, str] = {}
    problems = []
    for platform in sorted(platforms):
        for port in platforms[platform].service.ports:
            known = ports.get(port.port)
            if known is None:
                ports[port.port], first[port.port] = port, platform
                continue
            if known.explicit_port is None and port.explicit_port is not None:
                ports[port.port] = structs.replace(known, explicit_port=port.explicit_port)
            if known.protocol != port.protocol:
                what = (
                    f"port {port.port} speaks {known.protocol} on platform {first[port.port]} and {port.protocol} "
                    f"on platform {platform}; it is taken for {known.protocol}, and must be the same everywhere"
                )
                problems.append(Problem(subject=service_ref(name), field="spec.ports", what=what, severity="warning"))
    return tuple(ports[number] for number in sorted(ports)), tuple(problems)
