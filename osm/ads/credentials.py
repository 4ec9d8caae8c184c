"""Mutual TLS for the ADS port, with certificates that change while the server runs.

gRPC asks for the certificate on every new connection, under the interpreter's lock: the answer comes from memory.

Seen with grpcio 1.85: gRPC replaces its TLS state while another thread may be about to begin a handshake with the old
one, which it has freed (`add_handshakers` in its `ssl_security_connector.cc` reads the state outside of the lock that
guards its replacement). A new identity at each of a few hundred connections in a burst ends the process. `LULL_S` is
what keeps us from there.
"""

import time
from collections.abc import Callable

import grpc
import msgspec

LULL_S = 0.1
"""How long before a replacement no other handshake may have begun. The moment in which gRPC is vulnerable takes
microseconds; what is left are threads that are not scheduled for so long just then."""

SWAP_GAP_S = 1.0
"""Between two replacements: each may hold up those who connect by a lull, so they must be rare."""


class ServerIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """PEM texts: the server's chain and key, and the roots that client certificates must chain to."""

    chain_pem: bytes
    key_pem: bytes
    client_roots_pem: bytes


def mutual_tls(current: Callable[[], ServerIdentity]) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate; `current` is asked on each connection and must not wait.

    A new identity is used from the first connection that comes SWAP_GAP_S after the one before.
    """
    given = current()
    gate = Lull()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        """Called by gRPC's threads, one at a time: its lock keeps all others from beginning a handshake meanwhile."""
        nonlocal given
        identity = current()
        wait_s = gate.ask(time.monotonic(), is_new=identity != given)
        if wait_s is None:
            return None
        time.sleep(wait_s)  # in a thread of gRPC's, never in the event loop
        given = identity
        return _configuration(identity)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(given),
        fetch,  # type: ignore[arg-type]  # the stubs forget that None means "unchanged"
        require_client_authentication=True,
    )


class Lull:
    """When a new identity may be given to gRPC. Pure: `now` is any monotonic clock's, in seconds."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._swapped_at = float("-inf")

    def ask(self, now: float, *, is_new: bool) -> float | None:
        """A connection begins. None to go on as before, else after how many seconds to give what is new."""
        quiet_s, self._asked_at = now - self._asked_at, now
        if not is_new or now - self._swapped_at < SWAP_GAP_S:
            return None
        wait_s = max(0.0, LULL_S - quiet_s)
        self._asked_at = self._swapped_at = now + wait_s
        return wait_s


def _configuration(identity: ServerIdentity) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(identity.key_pem, identity.chain_pem)], root_certificates=identity.client_roots_pem
    )
