"""TLS: between sidecars, both ends of it, and what a sidecar serves to callers from outside.

Between sidecars the roots say who belongs to the mesh, and the names beside them who is meant. Both are always present:
Envoy takes an empty list of names as "anyone", so an upstream without accounts must not get as far as this module.

Sessions are never resumed: each connection proves the certificates of today, so that rotation and revocation do not
wait for tickets to expire.
"""

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
    TlsParameters,
)
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
    UpstreamTlsContext,
)
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value
from msgspec import Struct

from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policy import Mesh, TlsVersion
from services.xds.translate.messages import exactly, from_ads, matching, packed
from services.xds.translate.secret import LEAF, bundle_name

MESH_ALPN = "osm"
"""What sidecars of the mesh offer; it keeps their chains apart from any other TLS on the same port."""


NOBODY = exactly("nobody")
"""A name that no certificate has: it is no URI. Without any name Envoy would take everyone."""


class MeshTls(Struct, frozen=True, kw_only=True, cache_hash=True):
    """Against whose roots, by which TLS settings: what all connections of a mesh's proxies share.

    `origins`: the MeshConfig, if it says anything of this.
    """

    trust_domain: str
    minimum: TlsVersion
    maximum: TlsVersion
    cipher_suites: tuple[str, ...]
    ecdh_curves: tuple[str, ...]
    origins: tuple[ObjectRef, ...] = ()

    @classmethod
    def of(cls, trust_domain: str, mesh: Mesh) -> "MeshTls":
        return cls(
            trust_domain=trust_domain,
            minimum=mesh.tls_min,
            maximum=mesh.tls_max,
            cipher_suites=mesh.cipher_suites,
            ecdh_curves=mesh.ecdh_curves,
            origins=(mesh.origin,) if mesh.origin else (),
        )


def upstream_tls(mesh_tls: MeshTls, service: ServiceName, accounts: tuple[Identity, ...]) -> TransportSocket:
    """Towards a service, which must prove one of `accounts`. Raises ValueError if there is none."""
    if not accounts:
        raise ValueError(f"{service}: TLS towards no account at all would accept any of the mesh")
    names = (exactly(account.spiffe(mesh_tls.trust_domain)) for account in accounts)
    context = UpstreamTlsContext(
        common_tls_context=_common(mesh_tls, _uris(names)), sni=service.fqdn, max_session_keys=UInt32Value(value=0)
    )
    context.common_tls_context.alpn_protocols.append(MESH_ALPN)
    return _socket(context)


def downstream_tls(mesh_tls: MeshTls, callers: Iterable[StringMatcher] | None = None) -> TransportSocket:
    """From `callers`, of whom there may be none; else from any workload of the mesh, and which of them may do what is
    access control's question.

    No ALPN is agreed to, though the chain was chosen by it: Envoy looks for HTTP/2 in a connection's first bytes only
    if none was.
    """
    context = DownstreamTlsContext(
        common_tls_context=_common(mesh_tls, _uris([matching(mesh_leaf_regex(mesh_tls.trust_domain))])),
        require_client_certificate=BoolValue(value=True),
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
    )
    socket = _socket(context)
    return socket if callers is None else accepting(socket, callers)


def outside_tls(mesh_tls: MeshTls, *, any_client: bool, alpn: Iterable[str] = ()) -> TransportSocket:
    """From callers outside the mesh: of any kind, without asking for a certificate, or of all who have one with a name
    that a workload or a gateway can have. Which of those is access control's question, so that they can be told 403."""
    names = [*_uris([matching(mesh_leaf_regex(mesh_tls.trust_domain))]), *_dns_names([matching(".+")])]
    context = DownstreamTlsContext(
        common_tls_context=_common(mesh_tls, None if any_client else names),
        require_client_certificate=BoolValue(value=not any_client),
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
    )
    context.common_tls_context.alpn_protocols.extend(alpn)
    return _socket(context)


def accepting(socket: TransportSocket, callers: Iterable[StringMatcher]) -> TransportSocket:
    """A `downstream_tls` that takes these names alone."""
    context = DownstreamTlsContext.FromString(socket.typed_config.value)
    validation = context.common_tls_context.combined_validation_context.default_validation_context
    del validation.match_typed_subject_alt_names[:]
    validation.match_typed_subject_alt_names.extend(_uris(tuple(callers) or (NOBODY,)))
    return _socket(context)


def mesh_leaf_regex(trust_domain: str) -> str:
    """Any mesh leaf, and no certificate a proxy shows to xds: that one has a path behind the account."""
    return rf"spiffe://{trust_domain.replace('.', '[.]')}/ns/[^/]+/sa/[^/]+"


def _common(mesh_tls: MeshTls, names: Iterable[SubjectAltNameMatcher] | None) -> CommonTlsContext:
    """Without `names` the other end is not asked for a certificate at all."""
    context = CommonTlsContext(
        tls_params=TlsParameters(
            tls_minimum_protocol_version=TlsParameters.TlsProtocol.Value(mesh_tls.minimum),
            tls_maximum_protocol_version=TlsParameters.TlsProtocol.Value(mesh_tls.maximum),
            cipher_suites=mesh_tls.cipher_suites,
            ecdh_curves=mesh_tls.ecdh_curves,
        ),
        tls_certificate_sds_secret_configs=[_by_sds(LEAF)],
    )
    if names is not None:
        context.combined_validation_context.CopyFrom(
            CommonTlsContext.CombinedCertificateValidationContext(
                default_validation_context=CertificateValidationContext(match_typed_subject_alt_names=names),
                validation_context_sds_secret_config=_by_sds(bundle_name(mesh_tls.trust_domain)),
            )
        )
    return context


def _uris(names: Iterable[StringMatcher]) -> list[SubjectAltNameMatcher]:
    return [SubjectAltNameMatcher(san_type=SubjectAltNameMatcher.SanType.URI, matcher=name) for name in names]


def _dns_names(names: Iterable[StringMatcher]) -> list[SubjectAltNameMatcher]:
    return [SubjectAltNameMatcher(san_type=SubjectAltNameMatcher.SanType.DNS, matcher=name) for name in names]


def _by_sds(name: str) -> SdsSecretConfig:
    return SdsSecretConfig(name=name, sds_config=from_ads())


def _socket(context: Message) -> TransportSocket:
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))
