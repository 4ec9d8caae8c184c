"""Certificates, keys and roots as Envoy's secrets, and how they are called.

Separate because secrets alone differ between replicas of xds: each replica has keys of its own.
"""

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import CertificateValidationContext, TlsCertificate
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

LEAF = "service-cert"
"""A workload's own certificate. Not named for whose it is: so what refers to it is the same for every identity."""


def bundle_name(trust_domain: str) -> str:
    """One bundle for both directions: who exactly may speak is said beside it, not by the roots."""
    return f"trust-bundle:{trust_domain}"


def leaf_secret(chain_pem: str, key_pem: str) -> Secret:
    """A certificate chain, leaf first, and its private key."""
    return Secret(
        name=LEAF,
        tls_certificate=TlsCertificate(
            certificate_chain=DataSource(inline_string=chain_pem), private_key=DataSource(inline_string=key_pem)
        ),
    )


def bundle_secret(name: str, roots_pem: tuple[str, ...]) -> Secret:
    """The accepted roots. Raises ValueError if there is none: Envoy would then verify nothing."""
    if not roots_pem:
        raise ValueError(f"{name}: a trust bundle without roots would make Envoy accept any certificate")
    roots = "".join(root if root.endswith("\n") else f"{root}\n" for root in roots_pem)
    return Secret(
        name=name, validation_context=CertificateValidationContext(trusted_ca=DataSource(inline_string=roots))
    )
