"""A mesh's run folder: one mesh's at a time, emptied and removed, and nothing else removed with it."""

from pathlib import Path

import pytest

from osm.cli import find_mesh
from osm.cli.machine.run_folder import run_folder
from osm.cli.output import CommandError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return find_mesh.home()


@pytest.mark.parametrize("name", ["", ".", "..", "../precious", "/precious", "a/b", "Mesh", "-a", "a" * 33, "a\n"])
def test_a_name_that_leads_elsewhere_is_refused_and_removes_nothing(home: Path, name: str) -> None:
    precious = home.parent / "precious"
    precious.mkdir()
    other = home / "other"
    other.mkdir()
    with pytest.raises(CommandError, match="--name takes lower-case letters") as caught, run_folder(name):
        pass
    assert caught.value.status == 2
    assert precious.is_dir()
    assert other.is_dir()


def test_what_a_killed_mesh_left_is_gone_and_so_is_the_folder_afterwards(home: Path) -> None:
    left = home / "mesh" / "workloads"
    left.mkdir(parents=True)
    (home / "mesh" / "mesh.sock").touch()
    with run_folder("mesh") as found:
        assert found.path == home / "mesh"
        assert list(found.path.iterdir()) == []
    assert list(home.iterdir()) == []


def test_two_meshes_of_one_name_do_not_share_a_folder_even_before_either_answers(home: Path) -> None:
    with run_folder("mesh") as first:
        (first.path / "mesh.log").touch()
        with pytest.raises(CommandError, match="a mesh called 'mesh' runs here already"), run_folder("mesh"):
            pass
        assert (first.path / "mesh.log").exists()
        with run_folder("mesh-2") as second:
            assert second.block != first.block
    with run_folder("mesh"):
        pass


def test_a_place_that_is_no_folder_of_ours_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    usual = find_mesh.home()
    usual.rmdir()
    usual.touch()
    with pytest.raises(CommandError, match="must be a folder of yours that nobody else can open"):
        find_mesh.home()
