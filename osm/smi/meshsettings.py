"""What a MeshConfig's fields mean here: mesh-wide settings, and a word for each field that is not done yet.

A field without effect is a warning. One that somebody's security rests on is an error: a mesh that looks guarded and
is not is worse than one that refuses, and the last good form of the MeshConfig stays in force meanwhile.

An absent field means what an absent MeshConfig means: OSM 1.2's defaults (see `osm.contracts.policy.Mesh`).
A field that is set to what OSM's own installation sets is not warned about: nothing was asked for.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from osm.contracts.policy import Mesh, Tracing
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.wording import shown
from osm.smi.authorization import authorizer, authorizer_problems
from osm.smi.durations import duration_s
from osm.smi.gateway import gateway, gateway_problems
from osm.smi.meshconfig import Sidecar, Spec, TracingFields
from osm.smi.newpods import injection, unusable

LOG_LEVELS = ("trace", "debug", "info", "warning", "warn", "error", "critical", "off")

MIN_LEAF_S = 600
"""OSM's floor: a leaf that lives shorter than 10 minutes is renewed more often than is good for anything but tests."""

GRANTED_LEAF_S = 24 * 3600
"""The most that certmgr grants unless its own settings say otherwise; OSM granted whatever was asked for."""

_TRACING_ADDRESS = "jaeger.osm-system.svc.cluster.local"

_WITHOUT_EFFECT: Mapping[str, tuple[Any, ...]] = {
    "sidecar.envoyWindowsImage": ("",),
    "sidecar.configResyncInterval": ("", "0s"),
    "observability.osmLogLevel": ("info", ""),
    "observability.enableDebugServer": (False,),
    "certificate.certKeyBitSize": (2048,),
    "featureFlags.enableWASMStats": (True, False),
    "featureFlags.enableEgressPolicy": (True, False),
    "featureFlags.enableMulticlusterMode": (False,),
    "featureFlags.enableSnapshotCacheMode": (True, False),
    "featureFlags.enableAsyncProxyServiceMapping": (True, False),
    "featureFlags.enableIngressBackendPolicy": (True, False),
    "featureFlags.enableEnvoyActiveHealthChecks": (False,),
    "featureFlags.enableRetryPolicy": (True, False),
    "featureFlags.enableSPIFFE": (False,),
}
"""Fields that change nothing here, and the values that ask for nothing."""

_NOT_ENFORCED: Mapping[str, str] = {
    "featureFlags.enableMeshRootCertificate": (
        "MeshRootCertificates are not read, so a root that one withdraws stays trusted; "
        "set it to false: the mesh's root is that of Secret osm-ca-bundle"
    ),
}
"""Switches that others' security rests on and that do nothing here: what that leads to, and what to do."""


def mesh(raw: RawDocument, spec: Spec) -> tuple[Mesh, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    default = Mesh()
    sidecar, traffic = spec.sidecar, spec.traffic
    validity = duration_s(spec.certificate.service_cert_validity_duration or "24h")
    settings = Mesh(
        permissive=_or(traffic.enable_permissive_traffic_policy_mode, default.permissive),
        egress=_or(traffic.enable_egress, default.egress),
        tls_min=_or(sidecar.tls_min_protocol_version, default.tls_min),
        tls_max=_or(sidecar.tls_max_protocol_version, default.tls_max),
        cipher_suites=_or(sidecar.cipher_suites, default.cipher_suites),
        ecdh_curves=_or(sidecar.ecdh_curves, default.ecdh_curves),
        leaf_lifetime_s=max(int(validity or 0), 1),
        tracing=_tracing(spec.observability.tracing),
        sidecar_log_level=_log_level(sidecar.log_level) or default.sidecar_log_level,
        max_proxies=_or(sidecar.max_data_plane_connections, default.max_proxies),
        injection=injection(spec),
        external_authorization=authorizer(raw, traffic.inbound_external_authorization),
        ingress_gateway=gateway(spec.certificate.ingress_gateway),
        origin=raw.ref if _may_be_refused(sidecar) else None,
    )
    return settings, (
        *_wrong(raw, spec, settings),
        *authorizer_problems(raw, traffic.inbound_external_authorization),
        *gateway_problems(raw, spec.certificate.ingress_gateway),
        *unusable(raw, spec),
        *_not_enforced(raw),
        *_without_effect(raw),
    )


def _may_be_refused(sidecar: Sidecar) -> bool:
    """Which names of TLS exist is known to Envoy alone."""
    return bool(sidecar.cipher_suites or sidecar.ecdh_curves)


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _log_level(found: str | bool | None) -> str | None:  # noqa: FBT001  # YAML's word for `off`
    """Envoy's name of the level; None for the default, or for what is no level."""
    if found is False:
        return "off"
    if not isinstance(found, str) or found not in LOG_LEVELS:
        return None
    return "warning" if found == "warn" else found


def _tracing(fields: TracingFields | None) -> Tracing | None:
    if fields is None or not fields.enable:
        return None
    default = Tracing(address=_TRACING_ADDRESS)
    return Tracing(
        address=fields.address or default.address,
        port=fields.port or default.port,
        endpoint=fields.endpoint or default.endpoint,
    )


def _wrong(raw: RawDocument, spec: Spec, settings: Mesh) -> Iterator[Problem]:
    found = spec.sidecar.log_level
    if found not in (None, "") and _log_level(found) is None:
        what = f"expected one of {', '.join(LOG_LEVELS)}, found {shown(found)}"
        yield raw.problem("spec.sidecar.logLevel", what)
    auto = "TLS_AUTO"
    if auto not in (settings.tls_min, settings.tls_max) and settings.tls_min > settings.tls_max:
        what = f"expected at most tlsMaxProtocolVersion, {settings.tls_max}, found {settings.tls_min}"
        yield raw.problem("spec.sidecar.tlsMinProtocolVersion", what)
    validity = spec.certificate.service_cert_validity_duration
    for field, text in (
        ("spec.certificate.serviceCertValidityDuration", validity),
        ("spec.sidecar.configResyncInterval", spec.sidecar.config_resync_interval),
    ):
        if text and duration_s(text) is None:
            yield raw.problem(field, f"expected a duration such as 24h or 1h30m, found {shown(text)}")
    lifetime_s = duration_s(validity) if validity else None
    if lifetime_s is not None and lifetime_s < 1:
        yield raw.problem(
            "spec.certificate.serviceCertValidityDuration",
            f"expected a duration of at least 1s, found {shown(validity)}",
        )
    elif lifetime_s is not None and lifetime_s < MIN_LEAF_S:
        what = f"{shown(validity)} is shorter than 10m; certificates that short are for tests"
        yield raw.problem("spec.certificate.serviceCertValidityDuration", what, "warning")
    elif lifetime_s is not None and lifetime_s > GRANTED_LEAF_S:
        what = f"{shown(validity)} is longer than certmgr grants, 24h unless OSM_CERTMGR_LEAF_LIFETIME_S says otherwise"
        yield raw.problem("spec.certificate.serviceCertValidityDuration", what, "warning")


def _not_enforced(raw: RawDocument) -> Iterator[Problem]:
    for path, why in _NOT_ENFORCED.items():
        if _found(raw, path) is True:
            yield raw.problem(f"spec.{path}", f"expected false, found true: {why}")


def _without_effect(raw: RawDocument) -> Iterator[Problem]:
    for path, idle in _WITHOUT_EFFECT.items():
        found = _found(raw, path)
        if found is not None and found not in idle:
            yield raw.problem(f"spec.{path}", "this field is accepted and has no effect yet", "warning")


def _found(raw: RawDocument, path: str) -> Any:
    """What stands below `spec`; None if nothing does."""
    found: Any = raw.body.get("spec")
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found
