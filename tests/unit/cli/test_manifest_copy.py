from pathlib import Path

import pytest

from osm.cli.demo.manifest_copy import CannotEdit, ManifestCopy


@pytest.fixture
def workshop(tmp_path: Path) -> ManifestCopy:
    return ManifestCopy.lay_out(tmp_path / "manifests")


def test_the_split_walks_through_its_steps_and_comes_back(workshop: ManifestCopy) -> None:
    seen = [workshop.weights()]
    for _ in range(4):
        workshop.next_split().apply()
        seen.append(workshop.weights())
    assert seen == [(50, 50), (90, 10), (100, 0), (0, 100), (50, 50)]


def test_an_edit_keeps_comments_and_undoes_to_the_letter(workshop: ManifestCopy) -> None:
    before = (workshop.folder / "mesh-config.yaml").read_text()
    edit = workshop.toggle_permissive()
    edit.apply()
    assert "enablePermissiveTrafficPolicyMode: true" in (workshop.folder / "mesh-config.yaml").read_text()
    edit.undone().apply()
    assert (workshop.folder / "mesh-config.yaml").read_text() == before


def test_the_thief_is_admitted_by_a_file_and_shut_out_by_its_removal(workshop: ManifestCopy) -> None:
    workshop.toggle_thief().apply()
    assert (workshop.folder / "admit-thief.yaml").exists()
    workshop.toggle_thief().apply()
    assert not (workshop.folder / "admit-thief.yaml").exists()


def test_the_diff_shows_what_changes_and_no_more(workshop: ManifestCopy) -> None:
    lines = workshop.next_split().diff().splitlines()
    assert [line.strip() for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")] == [
        "-      weight: 50",
        "+      weight: 90",
        "-      weight: 50",
        "+      weight: 10",
    ]


def test_a_file_edited_beyond_recognition_is_said_not_guessed(workshop: ManifestCopy) -> None:
    (workshop.folder / "traffic-split.yaml").write_text("kind: Nothing\n")
    with pytest.raises(CannotEdit, match="looked for two lines `weight: N`, found 0"):
        workshop.next_split()
