"""The mesh that is measured: its services, identities, targets and proxies, as documents. Pure.

Every identity may call every service, so each proxy has all of them: the dearest mesh of its size.
Proxies of one identity are of one class, as the replicas of a Deployment are.
"""

from collections.abc import Mapping

from msgspec import Struct

from osm.contracts.channels import HTTP_ROUTE_GROUP, IDENTITY, MESH_CONFIG, SERVICE, TRAFFIC_TARGET, WORKLOAD
from osm.contracts.endpoints import (
    Backed,
    Endpoint,
    MeshIdentity,
    Service,
    ServiceEndpoints,
    ServicePort,
    Transparent,
    Workload,
)
from osm.contracts.names import Address, Identity, ServiceName
from osm.contracts.policy import HttpMatch, HttpRouteGroup, HttpRule, Mesh, TrafficTarget

NAMESPACE = "bench"
PLATFORM = "bench"
PORT, TARGET_PORT = 80, 8080

SERVICES = 100

Documents = Mapping[str, Struct]


class World(Struct, frozen=True, kw_only=True):
    """How large the mesh is."""

    streams: int
    services: int = SERVICES
    endpoints_each: int = 10
    identities: int = 20

    def identity(self, number: int) -> Identity:
        return Identity(NAMESPACE, f"account-{number % self.identities}")

    def service_name(self, number: int) -> ServiceName:
        return ServiceName(NAMESPACE, f"service-{number}")

    def service(self, number: int, *, moved: int = 0, backwards: bool = False) -> ServiceEndpoints:
        """One service. `moved` tells versions apart: its first endpoint has come up elsewhere so many times."""
        addresses = [Address(f"10.{at}.{number // 256}.{number % 256}", 15003) for at in range(self.endpoints_each)]
        if moved:
            addresses[0] = Address(f"10.200.{moved // 256 % 256}.{moved % 256}", 15003)
        endpoints = [Endpoint(port=PORT, address=address, identity=self.identity(number)) for address in addresses]
        return ServiceEndpoints(
            service=Service(
                name=self.service_name(number),
                ports=(ServicePort(port=PORT, name="http"),),
                accounts=(self.identity(number),),
                virtual_ips=(f"10.96.{number // 250}.{number % 250 + 1}",),
            ),
            endpoints=tuple(sorted(endpoints, reverse=backwards)),
        )

    def workload(self, number: int) -> Workload:
        """One proxy: it backs all services that run under its identity."""
        backs = tuple(
            Backed(service=self.service_name(at), port=PORT, target_port=TARGET_PORT)
            for at in range(number % self.identities, self.services, self.identities)
        )
        return Workload(
            proxy_id=f"proxy-{number}.{NAMESPACE}",
            identity=self.identity(number),
            backs=tuple(sorted(backs)),
            interception=Transparent(),
        )

    def target(self, number: int, *, edited: bool = False, backwards: bool = False) -> TrafficTarget:
        """Everybody may buy at one identity's services; after the edit, sell as well."""
        sources = sorted(self.identity(at) for at in range(self.identities))
        return TrafficTarget(
            namespace=NAMESPACE,
            name=f"target-{number}",
            destination=self.identity(number),
            sources=tuple(reversed(sources) if backwards else sources),
            rules=(HttpRule(route_group="routes", matches=() if edited else ("buy",)),),
        )

    def policies(self) -> Documents:
        """Bucket `meshspec`."""
        group = HttpRouteGroup(
            namespace=NAMESPACE,
            name="routes",
            matches=tuple(HttpMatch(name=name, path_regex=f"/{name}.*") for name in ("buy", "sell")),
        )
        targets = {target_key(number): self.target(number) for number in range(self.identities)}
        return {MESH_CONFIG.key(): Mesh(permissive=False), HTTP_ROUTE_GROUP.key(NAMESPACE, "routes"): group, **targets}

    def endpoints(self) -> Documents:
        """Bucket `endpoints`."""
        identities = map(self.identity, range(self.identities))
        workloads = map(self.workload, range(self.streams))
        return {
            **{IDENTITY.key(NAMESPACE, one.account): MeshIdentity(identity=one) for one in identities},
            **{self.service_key(number): self.service(number) for number in range(self.services)},
            **{WORKLOAD.key(one.proxy_id): one for one in workloads},
        }

    def service_key(self, number: int) -> str:
        return SERVICE.key(PLATFORM, NAMESPACE, self.service_name(number).name)


def target_key(number: int) -> str:
    return TRAFFIC_TARGET.key(NAMESPACE, f"target-{number}")
