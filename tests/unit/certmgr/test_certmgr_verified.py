"""What an authority elsewhere answers is what was ordered, or it is nobody's."""

import re
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from osm.contracts.names import Identity
from osm.contracts.trust import Gateway, MeshLeaf, ProxyClient
from osm.pki.issuing import profile_of, request
from osm.pki.keys import make_key, read_csr
from osm.pki.reading import load_chain, verify
from services.certmgr.decide import Order
from services.certmgr.verified import MAX_PEM_CHARS, WrongAnswer, root_of, verified
from tests.other_ca import OtherCa, pem

NOW_S = 1_800_000_000
LIFETIME_S = 3600
LATEST_S = NOW_S + LIFETIME_S + 60
STORE = Identity("bookstore", "bookstore")
SUBJECT = MeshLeaf(identity=STORE)
PROFILE = profile_of(SUBJECT, "cluster.local")
CSR_PEM = request(make_key(), PROFILE)
ORDER = Order(kind="leaf", csr=read_csr(CSR_PEM), profile=PROFILE, lifetime_s=LIFETIME_S)
CA = OtherCa(now_s=NOW_S)
ROOT = root_of(CA.root_pem)
STRANGER = OtherCa("stranger", now_s=NOW_S)
ENDING = OtherCa(now_s=NOW_S, intermediate_days=0)


def signed(ca=CA, order=ORDER, **more):
    said = {
        "uri": order.profile.uri,
        "dns_names": order.profile.dns_names,
        "client": order.profile.client,
        "server": order.profile.server,
        "lifetime_s": LIFETIME_S,
    }
    return ca.sign(CSR_PEM, **{**said, **more})


def checked(answer, order=ORDER, root=ROOT, now_s=NOW_S):
    return verified(answer, order, root, now_s=now_s, latest_s=LATEST_S)


def parts(answer):
    return load_chain(answer)


def test_a_chain_as_ordered_is_handed_on_and_leads_to_the_root():
    chain = checked(signed())
    assert (chain.not_after_s, chain.not_before_s) == (NOW_S + LIFETIME_S, NOW_S - 30)
    assert len(parts(chain.chain_pem)) == 2
    assert verify(parts(chain.chain_pem), (ROOT,), NOW_S).identity == STORE


def test_a_proxys_is_for_the_client_end_alone():
    profile = profile_of(ProxyClient(identity=STORE, proxy_id="p.bookstore"), "cluster.local")
    order = Order(kind="proxy", csr=ORDER.csr, profile=profile, lifetime_s=LIFETIME_S)
    assert checked(signed(order=order), order).not_after_s == NOW_S + LIFETIME_S
    with pytest.raises(WrongAnswer, match=r"^extended key usage: found client, server, allowed is client$"):
        checked(signed(order=order, server=True), order)


def test_a_gateways_has_no_uri_and_may_get_none():
    profile = profile_of(Gateway(dns_names=("gateway.example",)), "cluster.local")
    order = Order(kind="gateway", csr=ORDER.csr, profile=profile, lifetime_s=LIFETIME_S)
    assert checked(signed(order=order), order).not_after_s == NOW_S + LIFETIME_S
    with pytest.raises(WrongAnswer, match=r"^URI names: found spiffe://cluster.local/ns/a/sa/b, allowed is none$"):
        checked(signed(order=order, uri="spiffe://cluster.local/ns/a/sa/b"), order)


def test_the_root_and_whatever_is_no_certificate_stay_behind():
    chain = checked(f"# for you\n{signed()}{CA.root_pem}-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert "PRIVATE" not in chain.chain_pem
    assert [each.subject for each in parts(chain.chain_pem)][1:] == [CA.intermediate.subject]


def test_a_shorter_life_and_one_of_the_names_as_common_name_are_right():
    assert checked(signed(lifetime_s=600)).not_after_s == NOW_S + 600
    assert checked(signed(common_name=PROFILE.dns_names[0])).chain_pem


def test_clocks_may_differ_by_a_minute():
    assert checked(signed(begins_s=50, lifetime_s=LIFETIME_S + 50)).not_before_s == NOW_S + 50


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (signed(key=make_key().public_key()), "public key: found another, allowed is that of the request"),
        (signed(uri="spiffe://cluster.local/ns/bank/sa/vault"), "URI names: found spiffe://cluster.local/ns/bank/sa/"),
        (
            signed(more=[x509.UniformResourceIdentifier("spiffe://cluster.local/ns/a/sa/b")]),
            "URI names: found spiffe://cluster.local/ns/a/sa/b, spiffe://cluster.local/ns/bookstore/sa/bookstore",
        ),
        (signed(dns_names=()), "DNS names: found none, allowed is bookstore.bookstore.cluster.local"),
        (
            signed(dns_names=(*PROFILE.dns_names, "bank.example")),
            "DNS names: found bank.example, bookstore.bookstore.cluster.local, allowed is",
        ),
        (signed(more=[x509.IPAddress(ip_address("10.0.0.1"))]), "other names: found IPAddress 10.0.0.1"),
        (signed(more=[x509.RFC822Name("a@b.c")]), "other names: found RFC822Name a@b.c, allowed is none"),
        (signed(common_name="bank.example"), "common name: found bank.example, allowed is none, or spiffe:"),
        (signed(server=False), "extended key usage: found client, allowed is client, server"),
        (
            signed(uses=[ExtendedKeyUsageOID.CODE_SIGNING]),
            "extended key usage: found 1.3.6.1.5.5.7.3.3, client, server, allowed is client, server",
        ),
        (signed(may_sign=True), "basic constraints and key usage: found a certificate that may sign others"),
        (signed(digital=False), "key usage: found key_encipherment, allowed is digital_signature"),
        (signed(lifetime_s=LIFETIME_S + 61), "not after: found 3661 s from now, allowed is at most 3660"),
        (signed(begins_s=120), "not before: found 120 s from now, allowed is at most 60; compare clocks"),
        (signed(lifetime_s=-10), "chain: found the chain does not lead to a trusted root"),
        (signed(STRANGER), "chain: found the chain does not lead to a trusted root"),
        (pem(parts(signed())[0]), "chain: found the chain does not lead to a trusted root"),
        (pem(parts(signed())[0], CA.intermediate, STRANGER.intermediate), "order of the chain: found 'CN=other root'"),
        (pem(*reversed(parts(signed()))), "public key: found another"),
        (CA.root_pem, "chain: found the root alone"),
        (signed(ENDING), "chain: found the chain does not lead"),
        ("", "chain: found not a chain of certificates in PEM"),
        ("garbage", "chain: found not a chain of certificates in PEM"),
        (
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "chain: found not a chain of certificates in PEM",
        ),
        ("x" * (MAX_PEM_CHARS + 1), f"chain: found {MAX_PEM_CHARS + 1} characters, allowed is at most {MAX_PEM_CHARS}"),
        (signed() + pem(*[CA.intermediate] * 7), "chain: found 9 certificates, allowed is at most 8"),
    ],
)
def test_a_wrong_answer_is_refused_by_field_with_what_was_found_and_what_is_allowed(answer, why):
    with pytest.raises(WrongAnswer, match=f"^{re.escape(why)}"):
        checked(answer)


def test_nothing_outlives_those_who_signed_it():
    ca = OtherCa(now_s=NOW_S)
    ca.intermediate = ca._authority("other intermediate", ca.key, "other root", ca.root_key, 1800 / 86_400)
    with pytest.raises(WrongAnswer, match="not after: found 3600 s from now, allowed is at most 1800, the end of its"):
        checked(signed(ca), root=root_of(ca.root_pem))


def test_a_root_is_found_among_its_intermediates():
    assert root_of(pem(CA.intermediate, CA.root)) == CA.root


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (pem(CA.intermediate), "roots: found 0 self-signed certificates, allowed is one, that all chains lead to"),
        (CA.root_pem + STRANGER.root_pem, "roots: found 2 self-signed certificates"),
        ("", "roots: found not a chain of certificates in PEM"),
    ],
)
def test_what_is_no_root_is_refused(text, why):
    with pytest.raises(WrongAnswer, match=f"^{re.escape(why)}"):
        root_of(text)
