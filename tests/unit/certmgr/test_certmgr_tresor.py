import multiprocessing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osm.contracts.names import Identity
from osm.contracts.trust import MeshLeaf
from osm.pki.issuing import profile_of
from osm.pki.keys import key_pem, make_csr, make_key, read_csr
from osm.pki.reading import load_chain, not_after_s, verify
from services.certmgr.decide import Order
from services.certmgr.folder import ROOT_FILE, open_tresor
from services.certmgr.issuer import IssuerEnded
from services.certmgr.tresor import BadRoot, make_serial

NOW_S = 1_800_000_000.0
STORE = Identity("bookstore", "bookstore")
CSR = read_csr(make_csr(make_key()))


def opened(folder, *, trust_domain="cluster.local", lifetime_s=10**6, now_s=NOW_S):
    return open_tresor(folder, trust_domain=trust_domain, lifetime_s=lifetime_s, now_s=now_s)


def order(lifetime_s=3600):
    profile = profile_of(MeshLeaf(identity=STORE), "cluster.local")
    return Order(kind="leaf", csr=CSR, profile=profile, lifetime_s=lifetime_s)


def test_the_root_is_kept_across_restarts(tmp_path):
    assert opened(tmp_path).root_pem == opened(tmp_path, now_s=NOW_S + 1000).root_pem


def test_the_root_lies_where_only_its_owner_can_read(tmp_path):
    opened(tmp_path / "state" / "ca")
    assert (tmp_path / "state" / "ca").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "ca" / ROOT_FILE).stat().st_mode & 0o777 == 0o600


async def test_a_chain_leads_to_the_root(tmp_path):
    tresor = opened(tmp_path)
    chain = await tresor.sign(order(), NOW_S)
    certificates = load_chain(chain.chain_pem)
    assert verify(certificates, load_chain(tresor.root_pem), NOW_S).identity == STORE
    assert certificates[0].public_key() == CSR.public_key()
    assert (chain.issuer, chain.not_after_s) == (tresor.key_id, NOW_S + 3600)


async def test_no_two_certificates_share_a_serial(tmp_path):
    tresor = opened(tmp_path)
    serials = {load_chain((await tresor.sign(order(), NOW_S)).chain_pem)[0].serial_number for _ in range(5)}
    assert len(serials) == 5


def test_serials_are_positive_and_of_one_length():
    assert {make_serial().bit_length() for _ in range(100)} == {128}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(lifetime_s=st.integers(1, 10**8), age_s=st.floats(0, 10**6 - 1))
async def test_no_chain_outlives_the_root_nor_what_was_announced(tmp_path, lifetime_s, age_s):
    tresor = opened(tmp_path)
    announced_s = tresor.expiry_s(order(lifetime_s), NOW_S + age_s)
    chain = await tresor.sign(order(lifetime_s), NOW_S + age_s)
    assert not_after_s(load_chain(chain.chain_pem)[0]) == chain.not_after_s == announced_s <= tresor.not_after_s


async def test_an_ended_root_signs_nothing_and_says_what_to_do(tmp_path):
    tresor = opened(tmp_path)
    with pytest.raises(IssuerEnded, match=r"move .*root\.pem away"):
        await tresor.sign(order(), NOW_S + 10**6)


def test_a_root_that_others_can_read_is_refused(tmp_path):
    opened(tmp_path)
    (tmp_path / ROOT_FILE).chmod(0o644)
    with pytest.raises(BadRoot, match="chmod 600"):
        opened(tmp_path)


def test_the_root_of_another_trust_domain_is_refused(tmp_path):
    opened(tmp_path)
    with pytest.raises(BadRoot, match=r"'cluster\.local', and OSM_TRUST_DOMAIN is 'mesh\.example'"):
        opened(tmp_path, trust_domain="mesh.example")


def test_a_damaged_root_is_refused_and_never_replaced(tmp_path):
    (tmp_path / ROOT_FILE).touch(mode=0o600)
    with pytest.raises(BadRoot, match=ROOT_FILE):
        opened(tmp_path)
    assert (tmp_path / ROOT_FILE).read_bytes() == b""


def test_a_key_beside_anothers_certificate_is_refused(tmp_path):
    opened(tmp_path)
    path = tmp_path / ROOT_FILE
    _, _, certificate = path.read_text().partition("-----END PRIVATE KEY-----\n")
    path.write_text(key_pem(make_key()).decode() + certificate)
    with pytest.raises(BadRoot, match="not the one of the certificate"):
        opened(tmp_path)


def open_at_the_gate(folder, gate, answers):
    gate.wait()
    answers.put(opened(Path(folder)).root_pem)


def test_processes_that_start_at_once_have_one_root(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    gate, answers = spawn.Barrier(4), spawn.Queue()
    starts = [spawn.Process(target=open_at_the_gate, args=(str(tmp_path / "ca"), gate, answers)) for _ in range(4)]
    try:
        for start in starts:
            start.start()
        roots = {answers.get(timeout=60) for _ in starts}
    finally:
        for start in starts:
            start.join(10)
            start.kill()
    assert len(roots) == 1
    assert [path.name for path in (tmp_path / "ca").iterdir()] == [ROOT_FILE]
