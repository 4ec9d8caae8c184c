"""Private keys and the requests made with them.

Separate from certificates because a key is the one thing here that must stay where it was made:
`key_pem` is the only function that turns one into bytes, so who reads for leaks has one name to look for.
"""

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

PrivateKey = ec.EllipticCurvePrivateKey
SigningKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
"""What a root made elsewhere may have: OSM's own are RSA. The keys that we make are all ECDSA."""

Csr = x509.CertificateSigningRequest

MAX_CSR_CHARS = 16 * 1024
"""A request of ours is about 400 characters; a parser is not fed more than anyone could mean."""

RSA_BITS = range(2048, 4097)
"""Below is breakable, above costs every handshake milliseconds."""


class BadRequest(ValueError):
    """A certificate signing request that cannot be signed; the message says what was found and what is allowed."""


class BadKey(ValueError):
    """Text that is not a private key of ours. The message never quotes it."""


def make_key() -> PrivateKey:
    """A fresh ECDSA P-256 key: tens of microseconds, and every TLS library takes it."""
    return ec.generate_private_key(ec.SECP256R1())


def make_csr(key: PrivateKey) -> str:
    """A PKCS #10 request in PEM that proves possession of `key` and asks for no name: certmgr decides those."""
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def read_csr(pem: str) -> Csr:
    """A well-formed request with a strong key and a valid signature. Raises BadRequest."""
    if len(pem) > MAX_CSR_CHARS:
        raise BadRequest(f"csr_pem: found {len(pem)} characters, allowed are {MAX_CSR_CHARS}")
    try:
        csr = x509.load_pem_x509_csr(pem.encode())
        key = csr.public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise BadRequest("csr_pem: not a PKCS #10 certificate signing request in PEM") from error
    _require_strong(key)
    try:
        signed = csr.is_signature_valid
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        signed = False
    if not signed:
        raise BadRequest("csr_pem: the signature does not match the request's own key")
    return csr


def csr_pem(csr: Csr) -> str:
    """The request alone, whatever stood around it."""
    return csr.public_bytes(serialization.Encoding.PEM).decode()


def _require_strong(key: object) -> None:
    allowed = f"ECDSA on P-256 or P-384, or RSA of {RSA_BITS[0]} to {RSA_BITS[-1]} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        if not isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1):
            raise BadRequest(f"csr_pem: found a key on curve {key.curve.name}, allowed is {allowed}")
    elif isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in RSA_BITS:
            raise BadRequest(f"csr_pem: found an RSA key of {key.key_size} bits, allowed is {allowed}")
    else:
        raise BadRequest(f"csr_pem: found a key of another kind, allowed is {allowed}")


def key_pem(key: PrivateKey) -> bytes:
    """The private key itself, PKCS #8 in PEM: for a file of mode 0600 or for Envoy's SDS, for nothing else."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(pem: bytes) -> PrivateKey:
    """Raises BadKey."""
    key = load_signing_key(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadKey("found a private key of another kind, allowed is ECDSA")
    return key


def load_signing_key(pem: bytes) -> SigningKey:
    """The key of a root, which may have been made elsewhere. Raises BadKey."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("not an unencrypted private key in PEM") from None
    if isinstance(key, ec.EllipticCurvePrivateKey) or (isinstance(key, rsa.RSAPrivateKey) and key.key_size in RSA_BITS):
        return key
    raise BadKey(
        f"found a private key of another kind, allowed is ECDSA, or RSA of {RSA_BITS[0]} to {RSA_BITS[-1]} bits"
    )
