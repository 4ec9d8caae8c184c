"""Who is at the other end of a stream, and what its owner says about it.

Identity comes from the verified client certificate alone. Separate from the server so that the owner's side of the
conversation, `Authorize` and `Observer`, can be implemented and tested without gRPC.
"""

from collections.abc import Callable, Hashable
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec
from cryptography import x509

from osm.ads.resource import Resource


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A verified client certificate: its PEM text, its URI names (the SPIFFE id among them), its end of validity."""

    certificate_pem: bytes
    uris: tuple[str, ...]
    not_after: datetime

    @classmethod
    def from_pem(cls, certificate_pem: bytes) -> "Peer":
        """Read a certificate; raises `ValueError` when it is none."""
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            uris = tuple(names.get_values_for_type(x509.UniformResourceIdentifier))
        except x509.ExtensionNotFound:
            uris = ()
        return cls(certificate_pem=certificate_pem, uris=uris, not_after=certificate.not_valid_after_utc)


class StreamInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A connected stream. `id` is what `Engine.move` takes; `peer` is None on a plaintext port."""

    id: int
    node_id: str
    address: str
    peer: Peer | None


class Denied(Exception):
    """This proxy may not connect; the message says why, and is sent to it."""


Authorize: TypeAlias = Callable[[Peer | None, str], Hashable | None]
"""Certificate and node id → the group whose resources the proxy gets, or None to hold it; raises `Denied`.

A held proxy is sent nothing until its owner moves it into a group.
"""


class Observer(Protocol):
    """Told what happens on streams. Called from the event loop: must be quick and must not wait."""

    def turned_away(self, address: str, why: str) -> None:
        """A stream was ended before its proxy was admitted: it may not connect, not now, or makes no sense."""

    def connected(self, stream: StreamInfo) -> None:
        """A proxy was admitted."""

    def disconnected(self, stream: StreamInfo, reason: str) -> None:
        """An admitted proxy's stream ended."""

    def acked(self, stream: StreamInfo, type_url: str) -> None:
        """A proxy accepted a push."""

    def rejected(self, stream: StreamInfo, type_url: str, resources: tuple[Resource, ...], detail: str) -> None:
        """A proxy rejected a push. `resources` are the culprits, with their origins.

        They are empty while the culprit is still being searched for.
        """


class Unobserved:
    """The observer of those who do not care."""

    def turned_away(self, address: str, why: str) -> None:
        """Ignore it."""

    def connected(self, stream: StreamInfo) -> None:
        """Ignore it."""

    def disconnected(self, stream: StreamInfo, reason: str) -> None:
        """Ignore it."""

    def acked(self, stream: StreamInfo, type_url: str) -> None:
        """Ignore it."""

    def rejected(self, stream: StreamInfo, type_url: str, resources: tuple[Resource, ...], detail: str) -> None:
        """Ignore it."""
