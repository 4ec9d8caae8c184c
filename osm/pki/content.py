"""What a certificate or a request says of its holder, as plain values that can be held against an order.

Apart from `reading`, which asks one thing of certificates that we made: here everything is told, for those that were
made elsewhere. It judges nothing. Pure.
"""

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from osm.pki.keys import Csr
from osm.pki.reading import BadCertificate, Certificate

_USES = {ExtendedKeyUsageOID.CLIENT_AUTH: "client", ExtendedKeyUsageOID.SERVER_AUTH: "server"}

_USAGES = ("digital_signature", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")


class Content(Struct, frozen=True, kw_only=True):
    """Each sorted. `others` are alternative names of other kinds, and for a request also what else it asks for."""

    uris: tuple[str, ...] = ()
    dns_names: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    common_names: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    """Extended key usage: `client`, `server`, or the number of another."""
    usages: tuple[str, ...] = ()
    """Key usage, such as `digital_signature`."""
    is_ca: bool = False


def content_of(certificate: Certificate) -> Content:
    """Raises BadCertificate for extensions that cannot be read, or are there twice."""
    try:
        found = {extension.oid: extension.value for extension in certificate.extensions}
        names = found.get(x509.SubjectAlternativeName.oid)
        uses = found.get(x509.ExtendedKeyUsage.oid)
        usage = found.get(x509.KeyUsage.oid)
        limits = found.get(x509.BasicConstraints.oid)
        common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError) as error:
        raise BadCertificate(f"not a certificate whose extensions can be read: {error}") from error
    uris, dns_names, others = _names(names)
    return Content(
        uris=uris,
        dns_names=dns_names,
        others=others,
        common_names=tuple(sorted(str(each.value) for each in common)),
        uses=tuple(sorted(_USES.get(use, use.dotted_string) for use in uses))
        if isinstance(uses, x509.ExtendedKeyUsage)
        else (),
        usages=tuple(sorted(name for name in _USAGES if getattr(usage, name))) if usage is not None else (),
        is_ca=isinstance(limits, x509.BasicConstraints) and limits.ca,
    )


def is_for_key_of(certificate: Certificate, csr: Csr) -> bool:
    """Whether it is the request's key that it certifies; a key that cannot be read is another."""
    try:
        return certificate.public_key() == csr.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return False


def asked_for(csr: Csr) -> Content:
    """What a request asks for; empty for one that only proves who has the key. Raises BadCertificate."""
    try:
        found = {extension.oid: extension.value for extension in csr.extensions}
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError) as error:
        raise BadCertificate(f"not a request whose extensions can be read: {error}") from error
    uris, dns_names, others = _names(found.pop(x509.SubjectAlternativeName.oid, None))
    more = (f"extension {oid._name}" for oid in found)
    subject = (f"subject {attribute.rfc4514_string()}" for attribute in csr.subject)
    return Content(uris=uris, dns_names=dns_names, others=tuple(sorted((*others, *more, *subject))))


def _names(names: object) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """URIs, DNS names, and all others with their kind."""
    if not isinstance(names, x509.SubjectAlternativeName):
        return (), (), ()
    known = (x509.UniformResourceIdentifier, x509.DNSName)
    return (
        tuple(sorted(set(names.get_values_for_type(x509.UniformResourceIdentifier)))),
        tuple(sorted(set(names.get_values_for_type(x509.DNSName)))),
        tuple(sorted(f"{type(name).__name__} {name.value}" for name in names if not isinstance(name, known))),
    )
