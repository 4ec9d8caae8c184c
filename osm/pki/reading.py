"""What a certificate says: who, until when, signed by which key; and whether its chain leads to a trusted root.

Reading only. Times are seconds since the epoch, and `now_s` is always the caller's.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from osm.contracts.names import SpiffeId

Certificate = x509.Certificate


class BadCertificate(ValueError):
    """Text that is not a chain of certificates in PEM."""


class Untrusted(ValueError):
    """No path from the leaf to one of the roots that holds at this time; the message says why."""


def load_chain(pem: str | bytes) -> tuple[Certificate, ...]:
    """All certificates in the text, in its order, at least one. Raises BadCertificate."""
    body = pem.encode() if isinstance(pem, str) else pem
    try:
        return tuple(x509.load_pem_x509_certificates(body))
    except (ValueError, x509.InvalidVersion) as error:
        raise BadCertificate(f"not a chain of certificates in PEM: {error}") from error


def chain_pem(chain: Sequence[Certificate]) -> str:
    return "".join(certificate.public_bytes(Encoding.PEM).decode() for certificate in chain)


def spiffe_id(certificate: Certificate) -> SpiffeId | None:
    """Whose certificate it is. None unless it carries exactly one URI, of this mesh's form (SPIFFE X.509-SVID §2)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return SpiffeId.parse(uris[0]) if len(uris) == 1 else None


def dns_names(certificate: Certificate) -> tuple[str, ...]:
    """The DNS names that it holds for, if any."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def not_before_s(certificate: Certificate) -> int:
    return int(certificate.not_valid_before_utc.timestamp())


def not_after_s(certificate: Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp())


def key_id(certificate: Certificate) -> str:
    """The certificate's own key id, hex: for a root, its name in bundles and in `Chain.issuer`."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return found.value.digest.hex()


def issuer_key_id(certificate: Certificate) -> str | None:
    """The key id of the signer, hex; None for a certificate that does not say."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except x509.ExtensionNotFound:
        return None
    return found.hex() if found else None


def verify(chain: Sequence[Certificate], roots: Sequence[Certificate], now_s: float) -> SpiffeId:
    """Whose chain it is, proven: leaf first, ends at one of `roots`, holds now, may act as a client.

    Raises Untrusted.
    """
    require_trusted(chain, roots, now_s)
    found = spiffe_id(chain[0])
    if found is None:
        raise Untrusted("the certificate carries no identity of this mesh")
    return found


def require_trusted(chain: Sequence[Certificate], roots: Sequence[Certificate], now_s: float) -> None:
    """The same of a certificate that may be nobody's of the mesh. Raises Untrusted."""
    if not chain or not roots:
        raise Untrusted("an empty chain or no root to trust")
    verifier = (
        PolicyBuilder().store(Store(list(roots))).time(datetime.fromtimestamp(now_s, UTC)).build_client_verifier()
    )
    try:
        verifier.verify(chain[0], list(chain[1:]))
    except VerificationError as error:
        raise Untrusted(f"the chain does not lead to a trusted root: {error}") from error
