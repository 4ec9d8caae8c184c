"""Which objects are in force after each of a series of folders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from osm.contracts.names import ObjectRef
from osm.manifests import Parsed, RawDocument, Scan
from osm.manifests.last_good import InForce, in_force
from osm.manifests.yaml import read

Folder = dict[str, str]


class Thing(Struct, frozen=True):
    value: int


def thing(name: str, value: object, kind: str = "Thing") -> str:
    return f"apiVersion: v1\nkind: {kind}\nmetadata: {{name: {name}}}\nvalue: {value}\n---\n"


def parse(raw: RawDocument) -> Parsed[Thing] | None:
    if raw.kind != "Thing":
        return None
    value = raw.body.get("value")
    if not isinstance(value, int):
        return Parsed(object=None, problems=(raw.problem("value", "expected a number"),))
    return Parsed(object=Thing(value))


def scan(files: Folder) -> Scan:
    readings = {file: read(text, file) for file, text in sorted(files.items())}
    documents: dict[ObjectRef, RawDocument] = {}
    for reading in readings.values():
        for document in reading.documents:
            documents.setdefault(document.ref, document)
    return Scan(
        documents=tuple(documents.values()),
        problems=tuple(problem for reading in readings.values() for problem in reading.problems),
        unreadable=frozenset(file for file, reading in readings.items() if not reading.whole),
    )


def after(*folders: Folder | Scan) -> InForce[Thing]:
    found: InForce[Thing] | None = None
    for each in folders:
        found = in_force(each if isinstance(each, Scan) else scan(each), parse, found)
    assert found is not None
    return found


def values(found: InForce[Thing]) -> dict[str, int]:
    return {ref.name: each.value for ref, each in found.objects.items()}


GOOD = {"a": thing("x", 1) + thing("y", 2)}

BREAKAGES = {
    "not YAML": thing("x", 5) + "{",
    "not text": "\x00",
    "nobody's name": thing("x", 1) + thing("y", 2).replace("name: y", "label: y"),
    "wrong kind of value": thing("x", 1) + thing("y", "many"),
    "a key twice": thing("x", 1) + thing("y", 2).replace("---", "value: 3"),
    "too deep": thing("x", 1) + "[" * 200,
}


@pytest.mark.parametrize("text", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_what_was_good_stays_through_every_breakage_and_is_renewed_by_a_fix(text: str) -> None:
    broken = after(GOOD, {"a": text})
    assert values(broken) == {"x": 1, "y": 2}
    assert broken.problems
    fixed = after(GOOD, {"a": text}, {"a": thing("x", 1) + thing("y", 9)})
    assert (values(fixed), fixed.problems, fixed.complete) == ({"x": 1, "y": 9}, (), True)


@pytest.mark.parametrize("text", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_what_was_good_stays_however_often_the_broken_text_is_read(text: str) -> None:
    assert values(after(GOOD, {"a": text}, {"a": text + "# more"}, {"a": text})) == {"x": 1, "y": 2}


def test_an_object_goes_when_its_file_is_read_and_it_is_nowhere() -> None:
    assert values(after(GOOD, {"a": thing("x", 1)})) == {"x": 1}
    assert values(after(GOOD, {})) == {}


def test_an_object_goes_after_its_broken_text_is_removed() -> None:
    assert values(after(GOOD, {"a": "{"}, {})) == {}


def test_an_object_that_moves_to_another_file_is_the_same() -> None:
    assert values(after(GOOD, {"a": thing("x", 1), "b": thing("y", 7)})) == {"x": 1, "y": 7}


def test_another_files_breakage_holds_nothing_of_a_file_that_was_read() -> None:
    assert values(after(GOOD | {"b": thing("z", 3)}, {"a": thing("x", 1), "b": "{"})) == {"x": 1, "z": 3}


def test_the_first_definition_stands_while_its_file_is_broken() -> None:
    second = {"b": thing("x", 8)}
    assert values(after(GOOD | second, {"a": "{"} | second)) == {"x": 1, "y": 2}


def test_a_second_definition_takes_over_when_the_first_is_removed() -> None:
    assert values(after(GOOD | {"b": thing("x", 8)}, {"b": thing("x", 8)})) == {"x": 8}


def test_an_earlier_file_takes_over_from_a_broken_later_one() -> None:
    assert values(after({"b": thing("x", 1)}, {"a": thing("x", 2), "b": "{"})) == {"x": 2}


def test_a_folder_that_cannot_be_looked_into_holds_everything_below() -> None:
    first = scan({"top/sub/a": thing("x", 1), "top/b": thing("y", 2)})
    gone = Scan(unreadable=frozenset({"top/sub"}))
    assert values(after(first, gone)) == {"x": 1}


def test_what_never_was_good_is_not_in_force_and_is_told() -> None:
    found = after({"a": thing("x", "many")})
    assert values(found) == {}
    assert [str(problem) for problem in found.problems] == ["a:4: Thing default/x: value: expected a number"]
    assert found.complete


def test_other_readers_kinds_are_not_kept() -> None:
    assert after({"a": thing("x", 1, kind="Other")}).kept == {}


def test_an_unchanged_document_is_not_parsed_again() -> None:
    asked: list[str] = []

    def counting(raw: RawDocument) -> Parsed[Thing] | None:
        asked.append(raw.name)
        return parse(raw)

    first = scan(GOOD)
    found = in_force(first, counting)
    more = Scan(documents=(*first.documents, *scan({"b": thing("z", 3)}).documents))
    assert values(in_force(more, counting, found)) == {"x": 1, "y": 2, "z": 3}
    assert asked == ["x", "y", "z"]


TEXTS = st.sampled_from([thing("x", 1), thing("x", 2), thing("x", "bad"), thing("y", 1), "", "{", "kind: X\n"])
FOLDERS = st.dictionaries(st.sampled_from(["a", "b"]), st.lists(TEXTS, max_size=3).map("".join), max_size=2)


@given(st.lists(FOLDERS, min_size=2, max_size=5))
def test_objects_go_only_by_a_whole_reading_that_lacks_them(folders: list[Folder]) -> None:
    before = after(*folders[:-1])
    last = scan(folders[-1])
    now = in_force(last, parse, before)
    lost = before.objects.keys() - now.objects.keys()
    named = {document.ref for document in last.documents} | {problem.subject for problem in last.problems}
    assert all(before.kept[ref].file not in last.unreadable and ref not in named for ref in lost)
    if now.complete:
        assert now.kept.keys() <= named
