"""What each kind of certificate says, and signing it: the only place where certificates are made.

Pure but for ECDSA's own randomness: time, serial and keys are parameters. Whether a request deserves
a certificate is decided before (certmgr's `decide`); here it is only made right.
"""

from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from msgspec import Struct

from osm.contracts.trust import ControlPlane, Gateway, MeshLeaf, ProxyClient
from osm.pki.keys import Csr, PrivateKey, SigningKey
from osm.pki.reading import Certificate, not_after_s, not_before_s

SERIAL_BITS = 128
"""More than the 64 that the CA/Browser baseline asks for, fewer than the 159 that fit."""

BACKDATE_S = 60
"""Clocks of a cluster differ by seconds; a certificate that is not valid yet fails a handshake."""

BACKDATE_SHARE = 10
"""But at most a tenth of the life, so that short-lived ones do not seem two thirds over when they are made."""

_CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH
_SERVER = ExtendedKeyUsageOID.SERVER_AUTH

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class IssuerExpired(Exception):
    """The root is not valid at this time: nothing signed by it would be accepted."""


class UnfitRoot(ValueError):
    """A certificate, or a key beside it, that nothing can be signed with; the message says what is allowed."""


class Profile(Struct, frozen=True, kw_only=True):
    """What a certificate says of its holder: a URI, DNS names, IP addresses, which ends of a connection it may be.

    An empty `uri` is none.
    """

    uri: str
    dns_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    client: bool = True
    server: bool = False

    @property
    def uris(self) -> tuple[str, ...]:
        return (self.uri,) if self.uri else ()


def profile_of(subject: MeshLeaf | ProxyClient | ControlPlane | Gateway, trust_domain: str) -> Profile:
    """The names and uses of each kind. The DNS names of a proxy's are empty: nobody connects *to* it by this one."""
    if isinstance(subject, Gateway):
        return Profile(uri="", dns_names=subject.dns_names)
    identity = subject.identity
    match subject:
        case MeshLeaf():
            return Profile(
                uri=identity.spiffe(trust_domain), dns_names=(identity.dns(trust_domain),), client=True, server=True
            )
        case ProxyClient(proxy_id=proxy_id):
            return Profile(uri=identity.proxy_spiffe(trust_domain, proxy_id))
        case ControlPlane(dns_names=dns_names):
            return Profile(uri=identity.spiffe(trust_domain), dns_names=dns_names, client=True, server=True)


def request(key: PrivateKey, profile: Profile) -> str:
    """A PKCS #10 request in PEM that proves possession of `key` and names what is asked for.

    certmgr decides the names, and refuses others; authorities elsewhere take them from the request (cert-manager, and
    Vault unless its role says otherwise).
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = builder.add_extension(_names(profile), critical=True).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def make_root(key: PrivateKey, *, trust_domain: str, now_s: float, lifetime_s: int, serial: int) -> Certificate:
    """A self-signed root. Its name holds its key id, so that two roots of one mesh are never mistaken."""
    ski = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Open Service Mesh"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"osm root {ski.digest.hex()[:16]}"),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(_moment(now_s - _backdate_s(lifetime_s)))
        .not_valid_after(_moment(now_s + lifetime_s))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectAlternativeName([_uri(f"spiffe://{trust_domain}")]), critical=False)
        .add_extension(ski, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False)
        .sign(key, hashes.SHA256())
    )


def trust_domain_of(root: Certificate) -> str | None:
    """The trust domain a root made here is for; None for one made elsewhere that does not say."""
    try:
        names = root.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return uris[0].removeprefix("spiffe://") if uris else None


def require_fit(root: Certificate, key: SigningKey) -> None:
    """Whether what this root signs would be accepted, wherever it was made. Raises UnfitRoot."""
    if root.public_key() != key.public_key():
        raise UnfitRoot("the key is not the one of the certificate")
    require_root(root)


def require_root(root: Certificate) -> None:
    """Whether chains that lead to this certificate would be accepted. Raises UnfitRoot."""
    if root.issuer != root.subject:
        raise UnfitRoot(
            f"found a certificate signed by {root.issuer.rfc4514_string()!r}, allowed is a self-signed root"
        )
    try:
        may_sign = root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        may_sign = may_sign and root.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
        root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound as error:
        raise UnfitRoot(f"found a certificate without {error.oid._name}, which a root must have") from error
    if not may_sign:
        raise UnfitRoot("found a certificate that may not sign others, allowed is a root (CA, usage keyCertSign)")


def expiry_s(issuer: Certificate, *, now_s: float, lifetime_s: int) -> int:
    """When a certificate made now will end: never after its issuer. Raises IssuerExpired."""
    if not not_before_s(issuer) <= now_s < not_after_s(issuer):
        raise IssuerExpired(
            f"the root holds from {issuer.not_valid_before_utc:%Y-%m-%d %H:%M} "
            f"to {issuer.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, and it is {_moment(now_s):%Y-%m-%d %H:%M}"
        )
    return min(int(now_s) + lifetime_s, not_after_s(issuer))


def sign(
    profile: Profile,
    public_key: PublicKey,
    *,
    issuer: Certificate,
    issuer_key: SigningKey,
    now_s: float,
    lifetime_s: int,
    serial: int,
) -> Certificate:
    """A leaf for `public_key`: no subject name, so the alternative names are critical (RFC 5280 §4.2.1.6).

    Raises IssuerExpired.
    """
    end_s = expiry_s(issuer, now_s=now_s, lifetime_s=lifetime_s)
    start_s = max(int(now_s) - _backdate_s(end_s - int(now_s)), not_before_s(issuer))
    issuer_ski = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(_moment(start_s))
        .not_valid_after(_moment(end_s))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(_uses(profile), critical=False)
        .add_extension(_names(profile), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_ski), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )


def signable(csr: Csr) -> PublicKey:
    """The key that a request was made with; of the kinds that `keys.read_csr` lets through."""
    key = csr.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    return key


def _names(profile: Profile) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [
            *map(_uri, profile.uris),
            *map(x509.DNSName, profile.dns_names),
            *(x509.IPAddress(ip_address(address)) for address in profile.addresses),
        ]
    )


def _uses(profile: Profile) -> x509.ExtendedKeyUsage:
    wanted = ((_CLIENT, profile.client), (_SERVER, profile.server))
    return x509.ExtendedKeyUsage([use for use, is_wanted in wanted if is_wanted])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """`digitalSignature` always: Envoy's TLS library refuses an ECDSA key without it."""
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _backdate_s(lifetime_s: int) -> int:
    return min(BACKDATE_S, lifetime_s // BACKDATE_SHARE)


def _uri(uri: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(uri)


def _moment(at_s: float) -> datetime:
    return datetime.fromtimestamp(int(at_s), UTC)
