"""Real folders: what is read, what is skipped, and that no way of saving a file loses or misses anything."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from osm.manifests import Scan
from osm.manifests.folder import Folder, _read, _Stamp, scan, watch


def thing(name: str, value: int = 0) -> str:
    return f"apiVersion: v1\nkind: Thing\nmetadata: {{name: {name}}}\nvalue: {value}\n"


def names(found: Scan) -> list[str]:
    return [document.name for document in found.documents]


def write(place: Path, *parts: str) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("---\n".join(parts))


def test_folders_are_read_in_order_all_the_way_down(tmp_path: Path) -> None:
    write(tmp_path / "b.yaml", thing("b"))
    write(tmp_path / "a" / "deep" / "x.yml", thing("x"))
    write(tmp_path / "a.json", '{"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "j"}}')
    assert names(scan(tmp_path)) == ["j", "x", "b"]


@pytest.mark.parametrize(
    "name", [".hidden.yaml", ".git/x.yaml", "a.yaml~", "#a.yaml#", ".a.yaml.swp", "4913", "notes.txt", "a.yaml.bak"]
)
def test_hidden_files_and_what_editors_leave_behind_are_skipped(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, thing("x"))
    assert scan(tmp_path) == Scan()


def test_one_file_is_a_folder_of_one(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", thing("a"))
    write(tmp_path / "b.yaml", thing("b"))
    assert names(scan(tmp_path / "a.yaml")) == ["a"]


def test_the_same_object_in_two_files_is_told_and_the_first_wins(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", thing("other"), thing("x", 1))
    write(tmp_path / "b.yaml", thing("x", 2))
    found = scan(tmp_path)
    assert [(document.name, document.body["value"]) for document in found.documents] == [("other", 0), ("x", 1)]
    assert [str(problem) for problem in found.problems] == [
        f"{tmp_path}/b.yaml:1: Thing default/x: this object is defined twice; the first counts, "
        f"at {tmp_path}/a.yaml:6; remove one of the two"
    ]


def test_equal_names_in_different_groups_are_different_objects(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", thing("x"), thing("x").replace("v1", "example.com/v1"))
    assert (names(scan(tmp_path)), scan(tmp_path).problems) == (["x", "x"], ())


def test_a_broken_file_is_unreadable_and_others_are_read(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", thing("a") + "{")
    write(tmp_path / "b.yaml", thing("b"))
    found = scan(tmp_path)
    assert (names(found), found.unreadable) == (["b"], frozenset({f"{tmp_path}/a.yaml"}))


def test_a_link_to_nothing_is_told_and_holds_what_it_held(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("nowhere")
    found = scan(tmp_path)
    assert [problem.what for problem in found.problems] == ["the link points to nothing"]
    assert found.unread(f"{tmp_path}/a.yaml")


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    write(tmp_path / "sub" / "a.yaml", thing("a"))
    (tmp_path / "sub" / "again").symlink_to(tmp_path)
    assert names(scan(tmp_path)) == ["a"]


def test_a_pipe_is_told_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    assert [problem.what for problem in scan(tmp_path).problems] == ["neither a file nor a folder"]


def test_a_file_name_that_is_no_text_is_read_and_can_be_told(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml")).write_text("{")
    (problem,) = scan(tmp_path).problems
    assert problem.file == f"{tmp_path}/\\xff.yaml"


def test_a_folder_that_is_not_there_is_told_and_unread(tmp_path: Path) -> None:
    found = scan(tmp_path / "no")
    assert [str(problem) for problem in found.problems] == [f"{tmp_path}/no: there is no such folder"]
    assert found.unread(f"{tmp_path}/no/deep/a.yaml")


def test_only_changed_files_are_read_again(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", thing("a"))
    write(tmp_path / "b.yaml", thing("b"))
    folder = Folder(tmp_path)
    first = folder.scan()
    write(tmp_path / "b.yaml", thing("b", 17))
    second = folder.scan()
    assert second.documents[0] is first.documents[0]
    assert second.documents[1].body["value"] == 17


@pytest.mark.parametrize(("age_s", "value"), [(-3600, 2), (3600, 1)], ids=["young", "old"])
def test_a_file_is_read_again_if_it_may_have_changed_within_a_tick_of_its_times(
    tmp_path: Path, age_s: int, value: int
) -> None:
    file = tmp_path / "a.yaml"
    write(file, thing("a", 1))
    stamp = _Stamp(device=0, inode=0, size=0, mtime_ns=time.time_ns() - age_s * 10**9, ctime_ns=0)
    first = _read(str(file), file, stamp, None)
    write(file, thing("a", 2))
    second = _read(str(file), file, stamp, first)
    assert second is not None
    assert [each.body["value"] for each in second.reading.documents] == [value]


@pytest.mark.parametrize(
    "loss",
    [
        Path.unlink,
        lambda file: file.write_text(""),
        lambda file: file.write_text("a: ["),
        lambda file: write(file, thing("b")),
    ],
    ids=["removed", "emptied", "broken", "shortened"],
)
def test_a_file_that_seems_to_lose_objects_is_looked_at_twice(tmp_path: Path, loss: Callable[[Path], object]) -> None:
    file = tmp_path / "a.yaml"
    write(file, thing("a"), thing("b"))
    folder = Folder(tmp_path)
    before = folder.scan()
    loss(file)
    assert (folder.scan(), folder.unsettled) == (before, True)
    after = folder.scan()
    assert not folder.unsettled
    assert "a" not in names(after)


def test_a_file_that_is_whole_again_is_believed_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    write(file, thing("a"))
    folder = Folder(tmp_path)
    folder.scan()
    file.write_text("")
    folder.scan()
    write(file, thing("a"), thing("b"))
    assert (names(folder.scan()), folder.unsettled) == (["a", "b"], False)


class Watching:
    """A watch, and what it has said."""

    def __init__(self, scans: AsyncIterator[Scan]) -> None:
        self._scans = scans
        self.said: list[Scan] = []

    async def until(self, condition: Callable[[Scan], bool]) -> Scan:
        async with asyncio.timeout(30):
            async for found in self._scans:
                self.said.append(found)
                if condition(found):
                    return found
        raise AssertionError("a watch does not end")

    async def until_names(self, *expected: str) -> Scan:
        return await self.until(lambda found: sorted(names(found)) == sorted(expected))


async def watching(path: Path) -> AsyncIterator[Watching]:
    async with aclosing(watch(path, reconcile_s=3600)) as scans:  # type: ignore[type-var]  # it is a generator
        yield Watching(scans)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watching]:
    write(tmp_path / "a.yaml", thing("a"))
    async with aclosing(watching(tmp_path)) as watches:  # type: ignore[type-var]  # it is a generator
        async for each in watches:
            await each.until_names("a")
            yield each


async def test_an_edit_in_place_is_seen(tmp_path: Path, watched: Watching) -> None:
    write(tmp_path / "a.yaml", thing("a", 7))
    found = await watched.until(lambda found: found.documents[0].body["value"] == 7)
    assert all(names(each) == ["a"] for each in watched.said)
    assert found.problems == ()


async def test_a_rename_over_the_file_is_seen_and_nothing_flickers(tmp_path: Path, watched: Watching) -> None:
    write(tmp_path / ".a.yaml.new", thing("a", 7))
    (tmp_path / ".a.yaml.new").rename(tmp_path / "a.yaml")
    await watched.until(lambda found: found.documents[0].body["value"] == 7)
    assert all(names(each) == ["a"] for each in watched.said)


async def test_a_backup_before_writing_does_not_read_as_deletion(tmp_path: Path, watched: Watching) -> None:
    (tmp_path / "a.yaml").rename(tmp_path / "a.yaml~")
    await asyncio.sleep(0)
    write(tmp_path / "a.yaml", thing("a", 7))
    await watched.until(lambda found: [each.body["value"] for each in found.documents] == [7])
    assert all(names(each) == ["a"] for each in watched.said)


async def test_new_files_and_removed_ones_are_seen(tmp_path: Path, watched: Watching) -> None:
    write(tmp_path / "b.yaml", thing("b"))
    await watched.until_names("a", "b")
    (tmp_path / "a.yaml").unlink()
    await watched.until_names("b")


async def test_new_folders_are_watched_too(tmp_path: Path, watched: Watching) -> None:
    write(tmp_path / "new" / "deep" / "b.yaml", thing("b"))
    await watched.until_names("a", "b")
    write(tmp_path / "new" / "deep" / "c.yaml", thing("c"))
    await watched.until_names("a", "b", "c")
    shutil.rmtree(tmp_path / "new")
    await watched.until_names("a")


async def test_the_links_of_a_mounted_configmap_may_be_swapped(tmp_path: Path) -> None:
    def deploy(version: str, value: int) -> None:
        write(tmp_path / f"..{version}" / "policy.yaml", thing("a", value))
        (tmp_path / "..data_tmp").symlink_to(f"..{version}")
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    deploy("1", 1)
    (tmp_path / "policy.yaml").symlink_to("..data/policy.yaml")
    async for each in watching(tmp_path):
        await each.until_names("a")
        deploy("2", 2)
        shutil.rmtree(tmp_path / "..1")
        found = await each.until(lambda found: found.documents[0].body["value"] == 2)
        assert all(names(said) == ["a"] for said in each.said)
        assert found.problems == ()


async def test_a_folder_that_vanishes_and_returns_is_watched_again(tmp_path: Path, watched: Watching) -> None:
    aside = tmp_path.with_name("aside")
    tmp_path.rename(aside)
    gone = await watched.until(lambda found: bool(found.problems))
    assert gone.unread(f"{tmp_path}/a.yaml")
    aside.rename(tmp_path)
    await watched.until(lambda found: not found.problems)
    write(tmp_path / "b.yaml", thing("b"))
    await watched.until_names("a", "b")


async def test_many_edits_end_in_the_last_one(tmp_path: Path, watched: Watching) -> None:
    for value in range(50):
        write(tmp_path / "a.yaml", thing("a", value))
        await asyncio.sleep(0)
    await watched.until(lambda found: [each.body["value"] for each in found.documents] == [49])


async def test_a_touch_says_nothing(tmp_path: Path, watched: Watching) -> None:
    (tmp_path / "a.yaml").touch()
    write(tmp_path / "b.yaml", thing("b"))
    await watched.until_names("a", "b")
    assert [names(each) for each in watched.said] == [["a"], ["a", "b"]]
