import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from osm.pki.keys import BadKey, BadRequest, key_pem, load_key, make_csr, make_key, read_csr

SHA256 = hashes.SHA256()


def csr_of(key, algorithm=SHA256):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def test_a_request_is_for_the_key_that_made_it_and_names_nobody():
    key = make_key()
    csr = read_csr(make_csr(key))
    assert csr.public_key() == key.public_key()
    assert csr.subject == x509.Name([])
    assert list(csr.extensions) == []


@pytest.mark.parametrize("key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)])
def test_other_strong_keys_are_taken(key):
    assert read_csr(csr_of(key)).public_key() == key.public_key()


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (ec.generate_private_key(ec.SECP256K1()), "curve secp256k1"),
        (rsa.generate_private_key(65537, 1024), "RSA key of 1024 bits"),
    ],
)
def test_weak_or_odd_keys_are_refused_by_name(key, found):
    with pytest.raises(BadRequest, match=found):
        read_csr(csr_of(key))


def test_keys_of_another_kind_are_refused():
    with pytest.raises(BadRequest, match="another kind"):
        read_csr(csr_of(ed25519.Ed25519PrivateKey.generate(), None))


def test_a_request_with_a_forged_signature_is_refused():
    csr = x509.load_pem_x509_csr(make_csr(make_key()).encode())
    der = bytearray(csr.public_bytes(serialization.Encoding.DER))
    stolen = (
        make_key().public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    )
    own = csr.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    forged = x509.load_der_x509_csr(bytes(der).replace(own, stolen))
    with pytest.raises(BadRequest, match="signature"):
        read_csr(forged.public_bytes(serialization.Encoding.PEM).decode())


@pytest.mark.parametrize(
    "text", ["", "nonsense", "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"]
)
def test_what_is_no_request_is_refused(text):
    with pytest.raises(BadRequest, match="not a PKCS #10"):
        read_csr(text)


def test_a_request_of_a_version_that_there_is_not_is_refused():
    der = bytearray(x509.load_pem_x509_csr(make_csr(make_key()).encode()).public_bytes(serialization.Encoding.DER))
    der[der.index(b"\x02\x01\x00") + 2] = 5
    text = base64.encodebytes(der).decode()
    with pytest.raises(BadRequest, match="not a PKCS #10"):
        read_csr(f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n")


def test_a_huge_request_is_not_parsed():
    with pytest.raises(BadRequest, match="characters"):
        read_csr(make_csr(make_key()) + " " * 20_000)


def test_a_key_survives_being_written_and_read():
    key = make_key()
    assert load_key(key_pem(key)).private_numbers() == key.private_numbers()


def test_a_bad_key_file_is_not_quoted():
    secret = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    with pytest.raises(BadKey) as caught:
        load_key(secret)
    assert "c2VjcmV0" not in str(caught.value)


def test_keys_of_other_kinds_are_not_ours():
    pem = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(BadKey, match="ECDSA"):
        load_key(pem)
