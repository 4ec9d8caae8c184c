"""Keys in files: made once, private where they have to be, and refused with a sentence where they are not right."""

from pathlib import Path

import msgspec
import pytest

from osm.bus import BusError
from osm.bus.nats_keys import OWNERS, WRITERS, load, make_keys, variables
from osm.bus.nats_settings import NatsSettings
from osm.bus.nats_signature import Claim
from osm.testing.signing import signing

CLAIM = Claim("catalog", "now", 1, "mesh", "catalog", b"{}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_keys(tmp_path)
    return tmp_path


def test_each_service_signs_its_own_bucket_and_every_reader_knows_it(folder) -> None:
    (proof,) = load("catalog", signing(folder, "catalog")).prove([CLAIM])
    for reader in (*OWNERS, "injector", "cli"):
        doubter = load(reader, signing(folder, reader)).doubter("catalog")
        assert doubter.doubt(CLAIM, proof) == ""
    (forged,) = load("local", signing(folder, "local")).prove([CLAIM])
    assert doubter.doubt(CLAIM, forged)


def test_keys_are_private_and_are_kept(folder) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert before.keys() == {WRITERS, *(f"{name}.key" for name in OWNERS)}
    assert {(folder / f"{name}.key").stat().st_mode & 0o777 for name in OWNERS} == {0o600}
    make_keys(folder)
    assert before == {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_key_can_be_replaced_while_both_are_listed(folder, tmp_path_factory) -> None:
    new = tmp_path_factory.mktemp("new")
    make_keys(new)
    listed = msgspec.json.decode((folder / WRITERS).read_bytes())
    listed["catalog"] += msgspec.json.decode((new / WRITERS).read_bytes())["catalog"]
    (folder / WRITERS).write_bytes(msgspec.json.encode(listed))
    doubter = load("cli", signing(folder, "cli")).doubter("catalog")
    for where in (folder, new):
        (proof,) = load("catalog", signing(where, "catalog")).prove([CLAIM])
        assert doubter.doubt(CLAIM, proof) == ""


def test_status_and_an_unsigned_bus_are_not_doubted(folder) -> None:
    assert load("cli", signing(folder, "cli")).doubter("status") is None
    unsigned = load("catalog", NatsSettings(unsigned=True))
    assert unsigned.doubter("catalog") is None
    assert unsigned.prove([CLAIM, CLAIM]) == ["", ""]


def test_without_keys_nothing_runs_unless_that_is_asked_for(folder) -> None:
    with pytest.raises(BusError, match=r"OSM_NATS_WRITERS_FILE: missing.*OSM_NATS_UNSIGNED=true"):
        load("cli", NatsSettings())
    writers = str(folder / WRITERS)
    with pytest.raises(BusError, match="OSM_NATS_SIGNING_KEY_FILE: missing, catalog has to sign"):
        load("catalog", NatsSettings(writers_file=writers))
    load("cli", NatsSettings(writers_file=writers))


def test_wrong_files_are_named(folder) -> None:
    with pytest.raises(BusError, match=r"local\.key: not the key that .* has for catalog"):
        load("catalog", msgspec.structs.replace(signing(folder, "local")))
    (folder / "catalog.key").chmod(0o640)
    with pytest.raises(BusError, match="mode 0640 lets others read it"):
        load("catalog", signing(folder, "catalog"))
    (folder / "catalog.key").chmod(0o600)
    (folder / "catalog.key").write_text("secret words")
    with pytest.raises(BusError, match=r"expected an Ed25519 private key in PEM, without a password$"):
        load("catalog", signing(folder, "catalog"))
    with pytest.raises(BusError, match=r"/nowhere/writers\.json: No such file"):
        load("cli", signing(Path("/nowhere"), "cli"))
    for text in ("[]", '{"catalog": ["AAAA"]}', '{"catalog": [7]}'):
        (folder / WRITERS).write_text(text)
        with pytest.raises(BusError, match="expected services and their public keys"):
            load("cli", signing(folder, "cli"))
    (folder / WRITERS).write_text("{}")
    with pytest.raises(BusError, match="has no key for catalog, certmgr"):
        load("cli", signing(folder, "cli"))


def test_a_folder_of_keys_is_named_to_a_piece_by_variables(folder) -> None:
    told = variables(folder, "catalog")
    assert told == {
        "OSM_NATS_WRITERS_FILE": str(folder / WRITERS),
        "OSM_NATS_SIGNING_KEY_FILE": str(folder / "catalog.key"),
    }
