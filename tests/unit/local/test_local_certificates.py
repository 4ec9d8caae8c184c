import stat

import pytest

from osm.contracts.names import Identity, SpiffeId
from osm.contracts.trust import ProxyClient
from osm.envoy.bootstrap import certificate_sds, text
from osm.pki import issuing
from osm.pki.files import write_secret
from osm.pki.keys import key_pem, make_key
from osm.pki.reading import chain_pem
from services.local.certificates import read_held

START_S = 1_800_000_000
NAMED = SpiffeId("cluster.local", Identity("town", "shop"), "shop-0.town")


def issued(proxy_id="shop-0.town"):
    """A key and a chain for it, PEM."""
    root_key, key = make_key(), make_key()
    root = issuing.make_root(root_key, trust_domain="cluster.local", now_s=START_S, lifetime_s=7200, serial=1)
    subject = ProxyClient(identity=Identity("town", "shop"), proxy_id=proxy_id)
    leaf = issuing.sign(
        issuing.profile_of(subject, "cluster.local"),
        key.public_key(),
        issuer=root,
        issuer_key=root_key,
        now_s=START_S,
        lifetime_s=3600,
        serial=2,
    )
    return key_pem(key).decode(), chain_pem([leaf])


def written(folder, key, chain):
    path = folder / "certificate.json"
    write_secret(path, text(certificate_sds(key_pem=key, chain_pem=chain)).encode())
    return path


def test_a_certificate_is_read_back_with_its_key_and_its_life(tmp_path):
    key, chain = issued()
    path = written(tmp_path, key, chain)
    held = read_held(path, NAMED)
    assert (held.key_pem(), held.chain.chain_pem) == (key, chain)
    assert held.chain.not_after_s == START_S + 3600
    assert held.chain.not_before_s <= START_S
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_certificate_of_another_key_or_name_is_not_gone_on_with(tmp_path):
    key, _ = issued()
    _, chain = issued()
    assert read_held(written(tmp_path, key, chain), NAMED) is None
    assert read_held(written(tmp_path, *issued("depot-0.town")), NAMED) is None


def test_a_key_that_others_could_read_is_not_gone_on_with(tmp_path):
    path = written(tmp_path, *issued())
    path.chmod(0o644)
    assert read_held(path, NAMED) is None


@pytest.mark.parametrize("body", ["", "{}", "[]", '{"resources": [{}]}', '{"resources": [{"tls_certificate": {}}]}'])
def test_a_file_that_is_none_is_not_gone_on_with(tmp_path, body):
    path = tmp_path / "certificate.json"
    write_secret(path, body.encode())
    assert read_held(path, NAMED) is None
    assert read_held(tmp_path / "none.json", NAMED) is None
