"""What `osm prepare` makes, keeps and renews."""

import base64
import json

import pytest
from msgspec import structs

from osm.bus import nats_keys
from osm.bus.permissions import USERS, password_variable
from osm.cli.kubernetes import mesh_secrets
from osm.cli.kubernetes.mesh_secrets import BUS_LIFE_S, BUS_ROOT, BUS_TLS, BUS_USERS, BadSecret, Data, Mesh, due, names
from osm.pki.issuing import trust_domain_of
from osm.pki.keys import load_key
from osm.pki.reading import dns_names, load_chain, not_after_s

NOW_S = 1_800_000_000.0
MESH = Mesh(namespace="osm-system", trust_domain="t.example", cluster_domain="c.example", root_secret="osm-ca-bundle")


def applied(found: dict[str, Data], changes: dict[str, Data]) -> dict[str, Data]:
    return {name: {**found.get(name, {}), **changes.get(name, {})} for name in found.keys() | changes.keys()}


@pytest.fixture
def made() -> dict[str, Data]:
    return due({}, MESH, NOW_S)


def test_everything_is_made_at_once_and_then_nothing_is_due(made: dict[str, Data]) -> None:
    assert tuple(made) == names(MESH)
    assert due(made, MESH, NOW_S) == {}


def test_no_root_is_made_where_another_issues(made: dict[str, Data]) -> None:
    elsewhere = structs.replace(MESH, root_secret="")
    assert names(elsewhere) == names(MESH)[1:]
    assert tuple(due({}, elsewhere, NOW_S)) == names(elsewhere)
    assert due(made, elsewhere, NOW_S) == {}


def test_two_meshes_share_no_secret(made: dict[str, Data]) -> None:
    other = due({}, MESH, NOW_S)
    assert not {value for data in made.values() for value in data.values()} & {
        value for data in other.values() for value in data.values()
    }


def test_the_root_is_of_the_mesh(made: dict[str, Data]) -> None:
    (root,) = load_chain(made["osm-ca-bundle"]["ca.crt"])
    assert trust_domain_of(root) == "t.example"
    assert load_key(made["osm-ca-bundle"]["private.key"]).public_key() == root.public_key()


def test_the_bus_is_found_by_its_names_from_pods_servers_and_forwarded_ports(made: dict[str, Data]) -> None:
    (certificate,) = load_chain(made[BUS_TLS]["tls.crt"])
    assert set(dns_names(certificate)) == {
        "osm-nats",
        "osm-nats.osm-system",
        "osm-nats.osm-system.svc",
        "osm-nats.osm-system.svc.c.example",
        "*.osm-nats-headless.osm-system.svc.c.example",
    }
    assert load_key(made[BUS_TLS]["tls.key"]).public_key() == certificate.public_key()
    certificate.verify_directly_issued_by(load_chain(made["osm-nats-xds"]["ca.crt"])[0])


def test_every_user_gets_the_password_that_the_server_knows(made: dict[str, Data]) -> None:
    for user in USERS:
        assert made[f"osm-nats-{user}"]["password"] == made[BUS_USERS][password_variable(user)]
        assert ("signing.key" in made[f"osm-nats-{user}"]) == (user in nats_keys.OWNERS)
    assert len(set(made[BUS_USERS].values())) == len(USERS)


def test_the_list_of_writers_is_of_the_keys(made: dict[str, Data]) -> None:
    for user in USERS:
        writers = json.loads(made[f"osm-nats-{user}"]["writers.json"])
        assert writers.keys() == set(nats_keys.OWNERS)
        for owner, (key,) in writers.items():
            assert base64.b64decode(key) == nats_keys.public_half(made[f"osm-nats-{owner}"]["signing.key"], owner)


@pytest.mark.parametrize("lost", names(MESH))
def test_a_secret_that_was_lost_is_made_anew_and_the_others_follow(lost: str, made: dict[str, Data]) -> None:
    left = {name: data for name, data in made.items() if name != lost}
    again = applied(left, due(left, MESH, NOW_S))
    assert due(again, MESH, NOW_S) == {}
    kept = {name: data for name, data in again.items() if data == made.get(name)}
    assert "osm-ca-bundle" in kept or lost == "osm-ca-bundle"
    (certificate,) = load_chain(again[BUS_TLS]["tls.crt"])
    for user in USERS:
        certificate.verify_directly_issued_by(load_chain(again[f"osm-nats-{user}"]["ca.crt"])[0])
        assert again[f"osm-nats-{user}"]["password"] == again[BUS_USERS][password_variable(user)]


def test_the_root_of_a_user_is_taken_as_it_is(made: dict[str, Data]) -> None:
    own = {"ca.crt": b"theirs", "private.key": b"theirs", "more": b"theirs"}
    assert "osm-ca-bundle" not in due({"osm-ca-bundle": own}, MESH, NOW_S)


def test_half_a_root_is_refused_with_what_to_do() -> None:
    with pytest.raises(BadSecret, match=r"osm-system/osm-ca-bundle: has no private\.key; put the root certificate"):
        due({"osm-ca-bundle": {"ca.crt": b"x"}}, MESH, NOW_S)


def test_the_certificate_of_the_bus_is_renewed_in_the_last_third_of_its_life(made: dict[str, Data]) -> None:
    assert due(made, MESH, NOW_S + BUS_LIFE_S * 0.6) == {}
    late_s = NOW_S + BUS_LIFE_S * 0.7
    changes = due(made, MESH, late_s)
    assert changes.keys() == {BUS_TLS}  # its root is the same, so no client has to learn anything
    assert changes[BUS_TLS].keys() == {"tls.crt", "tls.key"}
    (renewed,) = load_chain(changes[BUS_TLS]["tls.crt"])
    assert not_after_s(renewed) == int(late_s) + BUS_LIFE_S


def test_a_bus_that_is_called_otherwise_gets_another_certificate(made: dict[str, Data]) -> None:
    moved = Mesh(namespace="osm-system", trust_domain="t.example", cluster_domain="else", root_secret="osm-ca-bundle")
    assert due(made, moved, NOW_S).keys() == {BUS_TLS}


def test_a_service_that_is_new_gets_what_it_needs_and_the_others_learn_its_key(made: dict[str, Data]) -> None:
    without = {name: data for name, data in made.items() if name != "osm-nats-catalog"}
    variable = password_variable("catalog")
    without[BUS_USERS] = {name: value for name, value in made[BUS_USERS].items() if name != variable}
    changes = due(without, MESH, NOW_S)
    assert changes[BUS_USERS].keys() == {variable}
    assert changes["osm-nats-catalog"].keys() == {"ca.crt", "password", "signing.key", "writers.json"}
    assert changes["osm-nats-xds"].keys() == {"writers.json"}


def test_a_key_that_is_none_is_refused_without_its_text(made: dict[str, Data]) -> None:
    for secret, key in ((BUS_ROOT, "tls.key"), ("osm-nats-xds", "signing.key")):
        broken = {**made, secret: {**made[secret], key: b"-----BEGIN garbage"}}
        with pytest.raises(BadSecret) as refused:
            due(broken, MESH, NOW_S)
        assert secret in str(refused.value)
        assert "garbage" not in str(refused.value)


def test_the_bus_has_a_root_of_its_own_that_outlives_its_certificates(made: dict[str, Data]) -> None:
    (root,) = load_chain(made[BUS_ROOT]["tls.crt"])
    assert not_after_s(root) >= NOW_S + 2 * mesh_secrets.BUS_LIFE_S
    assert made[BUS_ROOT]["tls.crt"] != made["osm-ca-bundle"]["ca.crt"]
