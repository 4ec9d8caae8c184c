"""What follows from policy and endpoints: who may talk to whom, and how traffic is split.

Written by `catalog`, read by `xds`. Names are resolved here, once: a reader never looks up a route group.
Each part carries the user's object it came from, so that a rejection by Envoy can name it.
"""

from msgspec import Struct

from osm.contracts.egress import EgressGrant
from osm.contracts.endpoints import Endpoint, Service
from osm.contracts.names import Identity, ObjectRef, Port, ServiceName
from osm.contracts.policy import HttpMatch
from osm.contracts.traffic_settings import RetryTerms, TrafficSettings


class HttpGrant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`sources` may send requests that match any of `matches`. Never empty of either."""

    origin: ObjectRef
    sources: tuple[Identity, ...]
    matches: tuple[HttpMatch, ...]


class TcpGrant(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`sources` may connect to the target ports `ports`; empty means any port. `sources` is never empty."""

    origin: ObjectRef
    sources: tuple[Identity, ...]
    ports: tuple[Port, ...] = ()


class Upstream(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """A service that an identity may reach, at those of its workloads that run under `accounts`."""

    service: ServiceName
    accounts: tuple[Identity, ...]


class ServiceRetry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When requests to `service` are sent again."""

    origin: ObjectRef
    service: ServiceName
    terms: RetryTerms


class Policy(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that one identity may receive and reach while the mesh is not permissive, and how it asks.

    No grant means nothing may come in: deny by default, TCP included.
    In permissive mode (a flag of `Mesh`, never an enumeration of pairs) this document is not asked, but for
    `retries`: at most one for a service, sorted by it.
    """

    identity: Identity
    http: tuple[HttpGrant, ...] = ()
    tcp: tuple[TcpGrant, ...] = ()
    upstreams: tuple[Upstream, ...] = ()
    retries: tuple[ServiceRetry, ...] = ()
    egress: tuple[EgressGrant, ...] = ()
    """What of the outside may be reached while egress is off, in permissive mode too."""


class WeightedBackend(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A split's backend and its share; at least one backend of a split has a weight above 0."""

    service: ServiceName
    weight: int


class Split(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How calls to a root service are divided. `matches` empty: all calls; else only requests that match one."""

    origin: ObjectRef
    backends: tuple[WeightedBackend, ...]
    matches: tuple[HttpMatch, ...] = ()


class Ingress(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """Callers at addresses in `ranges` (CIDR, sorted, never empty) may call the container port in plain HTTP."""

    origin: ObjectRef
    target_port: Port
    ranges: tuple[str, ...]


class TlsIngress(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """Callers at addresses in `ranges` (as of `Ingress`) may call the container port over TLS, under these names.

    Unless `any_client`, they show a certificate of the mesh's roots that has one of `principals`; none is nobody.
    """

    origin: ObjectRef
    target_port: Port
    ranges: tuple[str, ...]
    hosts: tuple[str, ...] = ()
    any_client: bool = False
    principals: tuple[str, ...] = ()


class ServiceSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits of the traffic towards a service: its clients' sidecars keep those of connections, its own the others."""

    origin: ObjectRef
    settings: TrafficSettings


class MeshService(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A service, its platforms merged. A change of `endpoints` alone touches load assignments and nothing else."""

    service: Service
    split: Split | None = None
    ingress: tuple[Ingress, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    tls_ingress: tuple[TlsIngress, ...] = ()
    settings: ServiceSettings | None = None
