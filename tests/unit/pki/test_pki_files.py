import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from osm.pki.files import LooseMode, create_secret, private_folder, read_secret, write_key, write_secret
from osm.pki.keys import load_key, make_key


@pytest.fixture(autouse=True)
def careless_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def test_folders_are_made_for_the_owner_alone(tmp_path):
    folder = private_folder(tmp_path / "a" / "b")
    assert mode(folder) == mode(tmp_path / "a") == 0o700


def test_an_existing_folder_is_left_as_it_is(tmp_path):
    tmp_path.chmod(0o755)
    assert mode(private_folder(tmp_path)) == 0o755


def test_secrets_are_for_the_owner_alone_whatever_the_umask(tmp_path):
    write_secret(tmp_path / "written", b"x")
    create_secret(tmp_path / "created", b"x")
    assert mode(tmp_path / "written") == mode(tmp_path / "created") == 0o600


def test_a_key_is_written_as_it_is(tmp_path):
    key = make_key()
    write_key(tmp_path / "key.pem", key)
    assert mode(tmp_path / "key.pem") == 0o600
    assert load_key(read_secret(tmp_path / "key.pem")).private_numbers() == key.private_numbers()


def test_writing_replaces_and_leaves_nothing_beside(tmp_path):
    write_secret(tmp_path / "s", b"old and long")
    write_secret(tmp_path / "s", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    assert read_secret(tmp_path / "s") == b"new"


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "s").mkdir()
    with pytest.raises(OSError, match="s"):
        write_secret(tmp_path / "s", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_of_many_creators_one_wins_and_all_read_its_bytes(tmp_path):
    bodies = [bytes([number]) * 10_000 for number in range(16)]
    with ThreadPoolExecutor(16) as threads:
        won = list(threads.map(lambda body: create_secret(tmp_path / "s", body), bodies))
    assert won.count(True) == 1
    assert read_secret(tmp_path / "s") == bodies[won.index(True)]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


@pytest.mark.parametrize("loose", [0o640, 0o604, 0o660])
def test_a_secret_that_others_may_touch_is_not_read(tmp_path, loose):
    write_secret(tmp_path / "s", b"x")
    (tmp_path / "s").chmod(loose)
    with pytest.raises(LooseMode, match="chmod 600"):
        read_secret(tmp_path / "s")
