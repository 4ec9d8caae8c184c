import asyncio
import base64
import ssl
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from osm.contracts.names import XDS_IDENTITY, Identity, SpiffeId
from osm.contracts.trust import ControlPlane, MeshLeaf, ProxyClient
from osm.pki.issuing import BACKDATE_S, IssuerExpired, make_root, profile_of, sign, trust_domain_of
from osm.pki.keys import key_pem, make_key
from osm.pki.reading import (
    BadCertificate,
    Untrusted,
    chain_pem,
    issuer_key_id,
    key_id,
    load_chain,
    not_after_s,
    not_before_s,
    spiffe_id,
    verify,
)

NOW_S = 1_800_000_000
YEAR_S = 365 * 86_400
STORE = Identity("bookstore", "bookstore.v1")
ROOT_KEY = make_key()
ROOT = make_root(ROOT_KEY, trust_domain="mesh.example", now_s=NOW_S, lifetime_s=YEAR_S, serial=1)
LEAF_KEY = make_key()

LEAF = MeshLeaf(identity=STORE)
PROXY = ProxyClient(identity=STORE, proxy_id="bookstore-v1-0.bookstore")
CONTROL = ControlPlane(identity=XDS_IDENTITY, dns_names=("localhost", "osm-xds.osm-system.svc"))


def signed(subject, *, now_s=NOW_S, lifetime_s=86_400, root=ROOT, key=ROOT_KEY, public_key=None):
    return sign(
        profile_of(subject, "mesh.example"),
        public_key or LEAF_KEY.public_key(),
        issuer=root,
        issuer_key=key,
        now_s=now_s,
        lifetime_s=lifetime_s,
        serial=7,
    )


def extension(certificate, kind):
    return certificate.extensions.get_extension_for_class(kind)


CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


@pytest.mark.parametrize(
    ("subject", "uri", "dns", "uses"),
    [
        (
            LEAF,
            "spiffe://mesh.example/ns/bookstore/sa/bookstore.v1",
            ["bookstore.v1.bookstore.mesh.example"],
            [CLIENT, SERVER],
        ),
        (PROXY, "spiffe://mesh.example/ns/bookstore/sa/bookstore.v1/proxy/bookstore-v1-0.bookstore", [], [CLIENT]),
        (
            CONTROL,
            "spiffe://mesh.example/ns/osm-system/sa/osm-xds",
            ["localhost", "osm-xds.osm-system.svc"],
            [CLIENT, SERVER],
        ),
    ],
)
def test_each_kind_says_its_names_and_uses_and_nothing_else(subject, uri, dns, uses):
    certificate = signed(subject)
    names = extension(certificate, x509.SubjectAlternativeName)
    assert names.critical
    assert names.value.get_values_for_type(x509.UniformResourceIdentifier) == [uri]
    assert names.value.get_values_for_type(x509.DNSName) == dns
    assert len(list(names.value)) == 1 + len(dns)
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == uses
    assert certificate.subject == x509.Name([])


@pytest.mark.parametrize("subject", [LEAF, PROXY, CONTROL])
def test_every_leaf_may_sign_handshakes_and_never_certificates(subject):
    certificate = signed(subject)
    usage = extension(certificate, x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not extension(certificate, x509.BasicConstraints).value.ca


def test_a_leaf_names_the_key_that_signed_it():
    certificate = signed(LEAF)
    assert issuer_key_id(certificate) == key_id(ROOT)
    assert key_id(certificate) != key_id(ROOT)
    assert certificate.serial_number == 7


def test_two_roots_of_one_mesh_have_different_names():
    other = make_root(make_key(), trust_domain="mesh.example", now_s=NOW_S, lifetime_s=YEAR_S, serial=1)
    assert other.subject != ROOT.subject
    assert trust_domain_of(other) == trust_domain_of(ROOT) == "mesh.example"


def test_a_leaf_is_valid_a_minute_before_it_was_made_but_not_before_its_root():
    assert not_before_s(signed(LEAF, now_s=NOW_S + 3600)) == NOW_S + 3600 - BACKDATE_S
    assert not_before_s(signed(LEAF, now_s=NOW_S - 30)) == not_before_s(ROOT)


def test_a_short_life_is_backdated_by_a_tenth():
    certificate = signed(LEAF, now_s=NOW_S + 3600, lifetime_s=20)
    assert (not_before_s(certificate), not_after_s(certificate)) == (NOW_S + 3598, NOW_S + 3620)


@given(
    age_s=st.floats(0, YEAR_S - 1),
    lifetime_s=st.integers(1, 100 * YEAR_S),
    subject=st.sampled_from([LEAF, PROXY, CONTROL]),
)
def test_no_leaf_ever_outlives_its_issuer(age_s, lifetime_s, subject):
    certificate = signed(subject, now_s=NOW_S + age_s, lifetime_s=lifetime_s)
    assert not_before_s(ROOT) <= not_before_s(certificate) <= NOW_S + age_s
    assert NOW_S + age_s < not_after_s(certificate) <= not_after_s(ROOT)


@pytest.mark.parametrize("now_s", [NOW_S - 3600, NOW_S + YEAR_S, NOW_S + 2 * YEAR_S])
def test_a_root_outside_its_life_signs_nothing(now_s):
    with pytest.raises(IssuerExpired, match="the root holds from"):
        signed(LEAF, now_s=now_s)


@pytest.mark.parametrize(("subject", "proxy_id"), [(LEAF, None), (PROXY, "bookstore-v1-0.bookstore")])
def test_a_chain_proves_whose_it_is(subject, proxy_id):
    expected = SpiffeId(trust_domain="mesh.example", identity=STORE, proxy_id=proxy_id)
    assert verify([signed(subject)], [ROOT], NOW_S) == expected
    assert spiffe_id(signed(subject)) == expected


def test_a_chain_of_another_root_is_not_trusted():
    key = make_key()
    other = make_root(key, trust_domain="mesh.example", now_s=NOW_S, lifetime_s=YEAR_S, serial=1)
    with pytest.raises(Untrusted, match="trusted root"):
        verify([signed(LEAF, root=other, key=key)], [ROOT], NOW_S)


def test_a_chain_is_not_trusted_outside_its_life():
    with pytest.raises(Untrusted):
        verify([signed(LEAF)], [ROOT], NOW_S + 86_401)


def test_nothing_is_trusted_without_a_root():
    with pytest.raises(Untrusted, match="no root"):
        verify([signed(LEAF)], [], NOW_S)


def test_a_trusted_certificate_without_an_identity_is_not_trusted():
    profile = profile_of(LEAF, "mesh.example")
    stranger = sign(
        type(profile)(uri="https://example.com/", client=True),
        LEAF_KEY.public_key(), issuer=ROOT, issuer_key=ROOT_KEY, now_s=NOW_S, lifetime_s=600, serial=9,
    )  # fmt: skip
    with pytest.raises(Untrusted, match="no identity"):
        verify([stranger], [ROOT], NOW_S)


def test_a_leaf_cannot_sign_for_another():
    thief = make_key()
    fake = sign(
        profile_of(CONTROL, "mesh.example"), thief.public_key(),
        issuer=signed(LEAF), issuer_key=LEAF_KEY, now_s=NOW_S, lifetime_s=600, serial=9,
    )  # fmt: skip
    with pytest.raises(Untrusted):
        verify([fake, signed(LEAF)], [ROOT], NOW_S)


def test_chains_survive_being_written_and_read():
    chain = (signed(LEAF), ROOT)
    assert load_chain(chain_pem(chain)) == chain


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_what_is_no_chain_is_refused(text):
    with pytest.raises(BadCertificate, match="not a chain"):
        load_chain(text)


def test_a_certificate_of_a_version_that_there_is_not_is_refused():
    der = bytearray(ROOT.public_bytes(serialization.Encoding.DER))
    der[der.index(b"\xa0\x03\x02\x01\x02") + 4] = 7
    text = base64.encodebytes(der).decode()
    with pytest.raises(BadCertificate, match="not a chain"):
        load_chain(f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n")


def context(tmp_path, purpose, certificate, key):
    chain = tmp_path / f"{certificate.serial_number}-{purpose.name}.pem"
    chain.write_text(key_pem(key).decode() + chain_pem([certificate]))
    made = ssl.create_default_context(purpose, cadata=chain_pem([LIVE_ROOT]))
    made.verify_mode = ssl.CERT_REQUIRED
    made.check_hostname = False
    made.load_cert_chain(chain)
    return made


LIVE_NOW_S = time.time()
LIVE_ROOT = make_root(ROOT_KEY, trust_domain="mesh.example", now_s=LIVE_NOW_S, lifetime_s=YEAR_S, serial=1)


async def shaken_hands(tmp_path, server, client):
    """The URI that each end has seen of the other over real mutual TLS, or the error of either."""
    server_certificate, client_certificate = (signed(end, now_s=LIVE_NOW_S, root=LIVE_ROOT) for end in (server, client))
    seen = asyncio.get_running_loop().create_future()

    async def greet(reader, writer):
        seen.set_result(writer.get_extra_info("peercert")["subjectAltName"][0])
        writer.write(b"hello")
        writer.close()

    listening = await asyncio.start_server(
        greet, "127.0.0.1", 0, ssl=context(tmp_path, ssl.Purpose.CLIENT_AUTH, server_certificate, LEAF_KEY)
    )
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context(tmp_path, ssl.Purpose.SERVER_AUTH, client_certificate, LEAF_KEY)
        )
        assert await reader.read() == b"hello"
        of_server = writer.get_extra_info("peercert")["subjectAltName"][0]
        writer.close()
        return of_server, await seen


async def test_a_proxy_and_xds_shake_hands(tmp_path):
    of_server, of_client = await shaken_hands(tmp_path, CONTROL, PROXY)
    assert of_server == ("URI", "spiffe://mesh.example/ns/osm-system/sa/osm-xds")
    assert of_client == ("URI", profile_of(PROXY, "mesh.example").uri)


async def test_a_proxys_certificate_serves_nobody(tmp_path):
    with pytest.raises(ssl.SSLCertVerificationError, match="purpose"):
        await shaken_hands(tmp_path, PROXY, LEAF)
