"""MeshConfig: what it becomes, and which of it is the default."""

import pytest

from osm.contracts.names import ObjectRef
from osm.contracts.policy import ExternalAuthorization, IngressGateway, Injection, Mesh, Tracing
from osm.manifests import Parsed
from tests.unit.smi.policy_text import parsed

STOCK_MESH_CONFIG = """
sidecar:
  enablePrivilegedInitContainer: false
  logLevel: error
  maxDataPlaneConnections: 0
  envoyImage: ""
  envoyWindowsImage: ""
  initContainerImage: ""
  configResyncInterval: "0s"
  resources: {}
  tlsMinProtocolVersion: TLSv1_2
  tlsMaxProtocolVersion: TLSv1_3
  localProxyMode: Localhost
traffic:
  enableEgress: true
  enablePermissiveTrafficPolicyMode: true
  outboundPortExclusionList: []
  inboundPortExclusionList: []
  outboundIPRangeExclusionList: []
  outboundIPRangeInclusionList: []
  networkInterfaceExclusionList: []
observability:
  enableDebugServer: false
  osmLogLevel: info
  tracing: {enable: false}
certificate: {serviceCertValidityDuration: 24h, certKeyBitSize: 2048}
featureFlags:
  enableWASMStats: true
  enableEgressPolicy: true
  enableAsyncProxyServiceMapping: false
  enableIngressBackendPolicy: true
  enableEnvoyActiveHealthChecks: false
  enableSnapshotCacheMode: false
  enableRetryPolicy: false
  enableMeshRootCertificate: false
"""


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_the_mesh_config_that_osm_installs_is_the_default_and_free_of_warnings(version: str) -> None:
    found = parsed("MeshConfig", STOCK_MESH_CONFIG, api=f"config.openservicemesh.io/{version}")
    assert found == Parsed(object=Mesh())


def test_an_empty_mesh_config_is_the_default() -> None:
    assert parsed("MeshConfig", "{}") == Parsed(object=Mesh())


def test_a_mesh_config_with_everything_that_has_an_effect() -> None:
    spec = """
    sidecar: {logLevel: warn, maxDataPlaneConnections: 7, tlsMinProtocolVersion: TLS_AUTO,
              tlsMaxProtocolVersion: TLSv1_2, cipherSuites: [a, b], ecdhCurves: [P-256]}
    traffic: {enableEgress: false, enablePermissiveTrafficPolicyMode: false}
    observability: {tracing: {enable: true, address: zipkin, port: 1, endpoint: /x}}
    certificate: {serviceCertValidityDuration: 1h30m}
    """
    assert parsed("MeshConfig", spec) == Parsed(
        object=Mesh(
            origin=ObjectRef("MeshConfig", "shop", "it"),
            permissive=False,
            egress=False,
            tls_min="TLS_AUTO",
            tls_max="TLSv1_2",
            cipher_suites=("a", "b"),
            ecdh_curves=("P-256",),
            leaf_lifetime_s=5400,
            tracing=Tracing(address="zipkin", port=1, endpoint="/x"),
            sidecar_log_level="warning",
            max_proxies=7,
        )
    )


def test_who_is_asked_about_requests() -> None:
    asks = "traffic: {inboundExternalAuthorization: {enable: true, address: authz.policy, port: 9191%s}}"
    origin = ObjectRef("MeshConfig", "shop", "it")
    stock = ExternalAuthorization(origin=origin, address="authz.policy", port=9191)
    assert parsed("MeshConfig", asks % "") == Parsed(object=Mesh(external_authorization=stock))
    more = ", timeout: 1500ms, failureModeAllow: true, statPrefix: mine"
    other = ExternalAuthorization(
        origin=origin,
        address="authz.policy",
        port=9191,
        timeout_ms=1500,
        failure_mode_allow=True,
        stat_prefix="mine",
    )
    assert parsed("MeshConfig", asks % more) == Parsed(object=Mesh(external_authorization=other))


def test_nobody_is_asked_while_that_is_off_whatever_else_is_said() -> None:
    off = "traffic: {inboundExternalAuthorization: {enable: false, address: 'no host', timeout: soon}}"
    assert parsed("MeshConfig", off) == Parsed(object=Mesh())


def test_a_gateways_certificate_has_all_its_names() -> None:
    spec = """
    certificate: {ingressGateway: {subjectAltNames: [b.example.com, a.edge.cluster.local, b.example.com],
                                   validityDuration: 12h, secret: {name: cert, namespace: edge}}}
    """
    names = ("a.edge.cluster.local", "b.example.com")
    gateway = IngressGateway(dns_names=names, lifetime_s=43200, namespace="edge", name="cert")
    assert parsed("MeshConfig", spec) == Parsed(object=Mesh(ingress_gateway=gateway))


def test_what_a_mesh_config_says_of_new_pods() -> None:
    spec = """
    sidecar: {envoyImage: "envoy:1", initContainerImage: "init:1", enablePrivilegedInitContainer: true,
              localProxyMode: PodIP,
              resources: {limits: {memory: 134217729, cpu: 0.5}, requests: {cpu: 100m, memory: 1Gi}}}
    traffic: {outboundIPRangeExclusionList: [10.0.0.0/8], outboundIPRangeInclusionList: [10.1.0.0/16],
              outboundPortExclusionList: [80], inboundPortExclusionList: [90], networkInterfaceExclusionList: [eth1]}
    """
    assert parsed("MeshConfig", spec) == Parsed(
        object=Mesh(
            injection=Injection(
                envoy_image="envoy:1",
                init_image="init:1",
                privileged_init=True,
                pod_ip_mode=True,
                requests=(("cpu", "100m"), ("memory", "1Gi")),
                limits=(("cpu", "0.5"), ("memory", "134217729")),
                outbound_ip_exclusions=("10.0.0.0/8",),
                outbound_ip_inclusions=("10.1.0.0/16",),
                outbound_port_exclusions=(80,),
                inbound_port_exclusions=(90,),
                interface_exclusions=("eth1",),
            )
        )
    )


def test_a_mesh_config_that_says_of_new_pods_what_goes_without_saying_is_the_default() -> None:
    spec = (
        "sidecar: {envoyImage: '', localProxyMode: Localhost, resources: {}}\ntraffic: {outboundPortExclusionList: []}"
    )
    assert parsed("MeshConfig", spec) == Parsed(object=Mesh())


def test_unquoted_off_is_the_log_level_off() -> None:
    assert parsed("MeshConfig", "sidecar: {logLevel: off}") == Parsed(object=Mesh(sidecar_log_level="off"))


def test_tracing_without_an_address_goes_where_osm_installs_jaeger() -> None:
    found = parsed("MeshConfig", "observability: {tracing: {enable: true}}")
    assert found.object == Mesh(tracing=Tracing(address="jaeger.osm-system.svc.cluster.local"))
