"""A root that was made elsewhere: OSM's own, and those that cannot be one."""

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from osm.contracts.names import Identity
from osm.contracts.trust import MeshLeaf
from osm.pki.issuing import profile_of
from osm.pki.keys import make_csr, make_key, read_csr
from osm.pki.reading import load_chain, verify
from services.certmgr.decide import Order
from services.certmgr.tresor import BadRoot, read_root

NOW_S = 1_800_000_000.0
STORE = Identity("bookstore", "bookstore")
RSA = rsa.generate_private_key(65537, 2048)
MAY_SIGN = x509.KeyUsage(
    digital_signature=False,
    key_cert_sign=True,
    crl_sign=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def pem(key):
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def named(name):
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.LOCALITY_NAME, "CA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Open Service Mesh"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def root(key=RSA, *, issuer="osm-ca.openservicemesh.io", ca=True, ski=True, signer=None, may_sign=True):
    """As OSM 1.2 makes it: RSA, ten years, no name of a trust domain, no key id of its issuer."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(named("osm-ca.openservicemesh.io"))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(2**100 + 7)
        .not_valid_before(datetime.fromtimestamp(NOW_S - 1000, UTC))
        .not_valid_after(datetime.fromtimestamp(NOW_S + 10 * 365 * 86_400, UTC))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if may_sign:
        builder = builder.add_extension(MAY_SIGN, critical=True)
    if ski:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.sign(signer or key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def opened(key, certificate):
    return read_root(key=key, certificate=certificate, trust_domain="cluster.local", place="Secret x/y")


@pytest.mark.parametrize("key", [RSA, ec.generate_private_key(ec.SECP384R1())])
async def test_what_osms_root_signs_leads_to_it(key):
    tresor = opened(pem(key), root(key))
    csr = read_csr(make_csr(make_key()))
    profile = profile_of(MeshLeaf(identity=STORE), "cluster.local")
    chain = await tresor.sign(Order(kind="leaf", csr=csr, profile=profile, lifetime_s=3600), NOW_S)
    assert chain.issuer == tresor.key_id
    assert verify(load_chain(chain.chain_pem), load_chain(tresor.root_pem), NOW_S).identity == STORE


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        (root(make_key()), "the key is not the one of the certificate"),
        (root(issuer="somebody.else", signer=make_key()), "allowed is a self-signed root"),
        (root(ca=False), "may not sign others"),
        (root(may_sign=False), "without keyUsage, which a root must have"),
        (root(ski=False), "without subjectKeyIdentifier, which a root must have"),
        (b"nonsense", "not a chain of certificates in PEM"),
    ],
)
def test_a_certificate_that_can_be_no_root_is_refused_by_what_it_lacks(certificate, why):
    with pytest.raises(BadRoot, match=f"^Secret x/y: .*{why}"):
        opened(pem(RSA), certificate)


@pytest.mark.parametrize("key", [rsa.generate_private_key(65537, 1024), ed25519.Ed25519PrivateKey.generate()])
def test_keys_that_we_cannot_sign_with_are_refused_and_not_quoted(key):
    with pytest.raises(BadRoot, match="allowed is ECDSA, or RSA of 2048 to 4096 bits") as refused:
        opened(pem(key), root())
    assert "PRIVATE" not in str(refused.value)
