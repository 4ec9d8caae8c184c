"""Mutual TLS for the ADS port, with certificates that change while the server runs.

gRPC asks for the certificate on every new connection, under the interpreter's lock: the answer comes from memory.
"""

from collections.abc import Callable

import grpc
import msgspec


class ServerIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """PEM texts: the server's chain and key, and the roots that client certificates must chain to."""

    chain_pem: bytes
    key_pem: bytes
    client_roots_pem: bytes


def mutual_tls(current: Callable[[], ServerIdentity]) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate; `current` is asked on each connection and must not wait.

    gRPC builds its TLS state anew only when `current` returns an unequal identity. That must be rare: seen with grpcio
    1.85, a new identity at each of a thousand connections in a burst crashes the process (inside gRPC).
    """
    given = current()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal given
        identity = current()
        if identity == given:
            return None
        given = identity
        return _configuration(identity)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        fetch,  # type: ignore[arg-type]  # the stubs forget that None means "unchanged"
        require_client_authentication=True,
    )


def _configuration(identity: ServerIdentity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key_pem, identity.chain_pem)], root_certificates=identity.client_roots_pem
    )
