"""MeshConfig (config.openservicemesh.io v1alpha1 and v1alpha2): every field OSM 1.2 knows, as it is written.

Apart from `meshsettings`, which says what they mean here: this is the list, and a field not in it is misspelt.
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from osm.contracts.names import Port
from osm.contracts.policy import TlsVersion
from osm.manifests.convert import Fields
from osm.smi.shape import Object

Count = Annotated[int, Meta(ge=0)]
Cidr = Annotated[str, Meta(pattern=r"^(\d{1,3}\.){3}\d{1,3}/\d{1,2}$(?!\n)", description="a range such as 10.0.0.0/8")]

Interface = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,14}\+?$(?!\n)", description="an interface such as eth0 or eth+")
]


class Resources(Fields, frozen=True, kw_only=True):
    """`spec.sidecar.resources`, as a container has them; YAML reads a bare `2` as a number."""

    limits: dict[str, str | float] = {}
    requests: dict[str, str | float] = {}


class Sidecar(Fields, frozen=True, kw_only=True):
    """`spec.sidecar`. Unquoted `off` is the boolean false in YAML 1.1, so `log_level` may be one."""

    enable_privileged_init_container: bool | None = None
    log_level: str | bool | None = None
    envoy_image: str | None = None
    envoy_windows_image: str | None = None
    init_container_image: str | None = None
    max_data_plane_connections: Count | None = None
    config_resync_interval: str | None = None
    resources: Resources | None = None
    tls_min_protocol_version: TlsVersion | None = None
    tls_max_protocol_version: TlsVersion | None = None
    cipher_suites: tuple[str, ...] | None = None
    ecdh_curves: tuple[str, ...] | None = None
    local_proxy_mode: Literal["Localhost", "PodIP"] | None = None


class ExternalAuthorization(Fields, frozen=True, kw_only=True):
    """`spec.traffic.inboundExternalAuthorization`."""

    enable: bool | None = None
    address: str | None = None
    port: Port | None = None
    stat_prefix: str | None = None
    timeout: str | None = None
    failure_mode_allow: bool | None = None


class Traffic(Fields, frozen=True, kw_only=True):
    """`spec.traffic`."""

    enable_egress: bool | None = None
    outbound_ip_range_exclusion_list: tuple[Cidr, ...] | None = field(name="outboundIPRangeExclusionList", default=None)
    outbound_ip_range_inclusion_list: tuple[Cidr, ...] | None = field(name="outboundIPRangeInclusionList", default=None)
    outbound_port_exclusion_list: tuple[Port, ...] | None = None
    inbound_port_exclusion_list: tuple[Port, ...] | None = None
    network_interface_exclusion_list: tuple[Interface, ...] | None = None
    enable_permissive_traffic_policy_mode: bool | None = None
    inbound_external_authorization: ExternalAuthorization | None = None


class TracingFields(Fields, frozen=True, kw_only=True):
    """`spec.observability.tracing`."""

    enable: bool | None = None
    port: Port | None = None
    address: str | None = None
    endpoint: str | None = None


class Observability(Fields, frozen=True, kw_only=True):
    """`spec.observability`."""

    osm_log_level: str | bool | None = None
    enable_debug_server: bool | None = None
    tracing: TracingFields | None = None


class SecretRef(Fields, frozen=True, kw_only=True):
    """A Secret."""

    name: str
    namespace: str


class IngressGateway(Fields, frozen=True, kw_only=True):
    """`spec.certificate.ingressGateway`."""

    subject_alt_names: Annotated[tuple[str, ...], Meta(min_length=1)]
    validity_duration: str
    secret: SecretRef


class Certificate(Fields, frozen=True, kw_only=True):
    """`spec.certificate`."""

    service_cert_validity_duration: str | None = None
    cert_key_bit_size: int | None = None
    ingress_gateway: IngressGateway | None = None


class FeatureFlags(Fields, frozen=True, kw_only=True):
    """`spec.featureFlags`, those of every version since 1.0."""

    enable_wasm_stats: bool | None = field(name="enableWASMStats", default=None)
    enable_egress_policy: bool | None = None
    enable_multicluster_mode: bool | None = None
    enable_snapshot_cache_mode: bool | None = None
    enable_async_proxy_service_mapping: bool | None = None
    enable_ingress_backend_policy: bool | None = None
    enable_envoy_active_health_checks: bool | None = None
    enable_retry_policy: bool | None = None
    enable_mesh_root_certificate: bool | None = None
    enable_spiffe: bool | None = field(name="enableSPIFFE", default=None)


class Spec(Fields, frozen=True, kw_only=True):
    """What a MeshConfig says."""

    sidecar: Sidecar = Sidecar()
    traffic: Traffic = Traffic()
    observability: Observability = Observability()
    certificate: Certificate = Certificate()
    feature_flags: FeatureFlags = FeatureFlags()


class Document(Object, frozen=True, kw_only=True):
    """A MeshConfig as written."""

    spec: Spec = Spec()
