"""What users ask for: SMI policies and mesh-wide settings, parsed and valid in themselves.

Written by `meshspec`, read by `catalog`. Whether the things they refer to exist is the catalog's question.
Every default is the meaning of an absent field, after SMI v0.6 and OSM 1.2.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from osm.contracts.names import DnsLabel, DnsName, Identity, ObjectRef, Port, ServiceName

ANY_PATH = ".*"


class HeaderMatch(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """The header `name` (lower case) is present and its value matches `regex` as a whole (RE2)."""

    name: str
    regex: str


class HttpMatch(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """One kind of request: path and method and every header must match.

    `path_regex` matches the whole path without its query (RE2); empty `methods` means any method.
    """

    name: str
    path_regex: str = ANY_PATH
    methods: tuple[str, ...] = ()
    headers: tuple[HeaderMatch, ...] = ()


class HttpRouteGroup(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """SMI HTTPRouteGroup: named matches that a TrafficTarget or TrafficSplit refers to."""

    namespace: DnsLabel
    name: DnsName
    matches: tuple[HttpMatch, ...]


class TcpRoute(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """SMI TCPRoute. `ports` are the destination's target ports; empty means any port."""

    namespace: DnsLabel
    name: DnsName
    ports: tuple[Port, ...] = ()


class HttpRule(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="http"):
    """Requests of an HTTPRouteGroup in the target's namespace; empty `matches` means all of the group."""

    route_group: DnsName
    matches: tuple[str, ...] = ()


class TcpRule(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="tcp"):
    """Connections of a TCPRoute in the target's namespace."""

    route: DnsName


class TrafficTarget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """SMI TrafficTarget: `sources` may do what any of `rules` says, at workloads of `destination`."""

    namespace: DnsLabel
    name: DnsName
    destination: Identity
    sources: tuple[Identity, ...]
    rules: tuple[HttpRule | TcpRule, ...]


class SplitBackend(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A service in the split's namespace and its share (relative; 0 is a backend without traffic)."""

    service: DnsLabel
    weight: Annotated[int, Meta(ge=0, le=2**31 - 1)]


class TrafficSplit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """SMI TrafficSplit: who calls `service` is served by `backends` in proportion to their weights.

    `service` is the bare name, however the user spelled it; root and backends share the split's namespace.
    `matches` names HTTPRouteGroups: only requests that match one of them are split, others go to the root.
    """

    namespace: DnsLabel
    name: DnsName
    service: DnsLabel
    backends: tuple[SplitBackend, ...]
    matches: tuple[DnsName, ...] = ()


class SourceService(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True, tag="service"):
    """Callers without a sidecar at the ready addresses of a service, such as an ingress controller's."""

    service: ServiceName


class SourceRange(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True, tag="range"):
    """Callers without a sidecar at these addresses, in CIDR form."""

    cidr: str


class IngressPort(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """A service of the policy's namespace and the container port that callers from outside may use, over HTTP."""

    service: DnsLabel
    target_port: Port


class IngressTls(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """A service of the policy's namespace and the container port that its sidecar serves to outside over TLS."""

    service: DnsLabel
    target_port: Port
    hosts: tuple[str, ...] = ()
    """Server names (SNI) it is served under: lower case, one that starts with `*.` is all below; empty is any."""
    any_client: bool = False
    """Whether callers come without a certificate of the mesh (tls.skipClientCertValidation)."""


class IngressBackend(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """OSM IngressBackend: who may call from outside the mesh. Of its own namespace only.

    What TLS is about stands apart: who does not know of it opens nothing in its place.
    """

    namespace: DnsLabel
    name: DnsName
    backends: tuple[IngressPort, ...]
    sources: tuple[SourceService | SourceRange, ...]
    """Where callers are; over TLS, none is anywhere."""
    tls_backends: tuple[IngressTls, ...] = ()
    principals: tuple[str, ...] = ()
    """Names, one of which the certificate of a caller over TLS has: a DNS name, or the SPIFFE URI of a mesh leaf."""


TlsVersion = Literal["TLS_AUTO", "TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3"]


class Tracing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where sidecars send Zipkin v2 spans."""

    address: str
    port: Port = 9411
    endpoint: str = "/api/v2/spans"


class ExternalAuthorization(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whom sidecars ask about each request to their app, over gRPC in the clear (Envoy's `ext_authz`, v3)."""

    origin: ObjectRef
    address: str
    port: Port
    stat_prefix: str = "inboundExtAuthz"
    timeout_ms: Annotated[int, Meta(ge=1)] = 1000
    failure_mode_allow: bool = False
    """Whether requests pass that nobody has judged: who is asked is away, or does not answer in time."""


class IngressGateway(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The certificate that a gateway shows to sidecars: its names, and the Secret (kubernetes.io/tls) it is kept in."""

    dns_names: tuple[str, ...]
    lifetime_s: Annotated[int, Meta(ge=1)]
    namespace: DnsLabel
    name: DnsName


class Injection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What MeshConfig says of new pods' sidecars; read by the injector when a pod is made, never afterwards.

    An empty image is the installation's own. Ranges are IPv4 (CIDR); resources are (name, quantity).
    """

    envoy_image: str = ""
    init_image: str = ""
    privileged_init: bool = False
    pod_ip_mode: bool = False
    """Apps listen on the pod's address and not on 127.0.0.1 (sidecar.localProxyMode PodIP)."""
    requests: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, str], ...] = ()
    outbound_ip_exclusions: tuple[str, ...] = ()
    outbound_ip_inclusions: tuple[str, ...] = ()
    outbound_port_exclusions: tuple[Port, ...] = ()
    inbound_port_exclusions: tuple[Port, ...] = ()
    interface_exclusions: tuple[str, ...] = ()


class Mesh(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Mesh-wide settings (MeshConfig); an absent MeshConfig means these defaults, which are OSM 1.2's."""

    permissive: bool = True
    """Every workload may talk to every other, still over mutual TLS; TrafficTargets are not asked."""
    egress: bool = True
    """Destinations outside the mesh may be reached."""
    tls_min: TlsVersion = "TLSv1_2"
    tls_max: TlsVersion = "TLSv1_3"
    cipher_suites: tuple[str, ...] = ()
    ecdh_curves: tuple[str, ...] = ()
    leaf_lifetime_s: Annotated[int, Meta(ge=1)] = 24 * 3600
    """How long a mesh leaf lives (certificate.serviceCertValidityDuration)."""
    tracing: Tracing | None = None
    sidecar_log_level: str = "error"
    max_proxies: Annotated[int, Meta(ge=0)] = 0
    """Proxies admitted by xds; 0 is no limit (sidecar.maxDataPlaneConnections)."""
    injection: Injection | None = None
    """None is `Injection()`: nothing is said of new pods."""
    external_authorization: ExternalAuthorization | None = None
    ingress_gateway: IngressGateway | None = None
    telemetry: ObjectRef | None = None
    """In the catalog's document: the Telemetry of all workloads whose own documents name none."""
    origin: ObjectRef | None = None
    """The MeshConfig, if it sets what Envoy may refuse: a cipher suite that Envoy does not know, say."""
