"""Text → documents: what is found, at which line, and what is refused in which words."""

from itertools import pairwise
from textwrap import dedent

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from osm.contracts.names import ObjectRef
from osm.manifests.yaml import MAX_FILE_BYTES, Reading, read

HEAD = "apiVersion: v1\nkind: Thing\nmetadata: {name: it}\n"


def reading(text: str, file: str = "f.yaml") -> Reading:
    return read(dedent(text).lstrip("\n"), file)


def told(found: Reading) -> list[str]:
    return [str(problem) for problem in found.problems]


def test_every_field_has_its_line() -> None:
    (found,) = reading(
        """
        # a comment
        apiVersion: v1
        kind: Thing
        metadata:
          name: it
          namespace: there
          annotations:
            example.com/some.key: x
        spec:
          rows:
          - cells: [1,
                    2]
          -
            - deep:
                deeper: 3
        """
    ).documents
    assert (found.ref, found.file, found.line) == (ObjectRef("Thing", "there", "it"), "f.yaml", 2)
    lines = {
        "kind": 3,
        "metadata.namespace": 6,
        "metadata.annotations.example.com/some.key": 8,
        "spec.rows[0].cells": 11,
        "spec.rows[0].cells[0]": 11,
        "spec.rows[0].cells[1]": 12,
        "spec.rows[1][0].deep.deeper": 15,
    }
    assert {path: found.line_of(path) for path in lines} == lines


def test_a_field_that_is_not_there_has_the_line_of_what_should_hold_it() -> None:
    (found,) = read(HEAD + "spec:\n  rows:\n  - {a: 1}\n", "f").documents
    paths = ("spec.rows[0].b", "spec.rows[3]", "spec.other.deep", "status", "")
    assert [found.line_of(path) for path in paths] == [6, 5, 4, 1, 1]


def test_a_file_holds_several_documents_and_empty_ones_are_none() -> None:
    second = HEAD.replace("it", "other")
    found = read(f"---\n# nothing\n---\n{HEAD}---\n{second}...\n---\nnull\n---\n", "f")
    assert [(each.name, each.line) for each in found.documents] == [("it", 4), ("other", 8)]
    assert (found.problems, found.whole) == ((), True)


def test_lists_are_unfolded_and_their_items_keep_their_lines() -> None:
    found = reading(
        """
        apiVersion: v1
        kind: List
        items:
        - {apiVersion: v1, kind: Thing, metadata: {name: a}}
        - apiVersion: apps/v1
          kind: Deployment
          metadata: {name: b}
          spec: {replicas: 1}
        """
    )
    assert [(each.ref, each.line) for each in found.documents] == [
        (ObjectRef("Thing", "default", "a"), 4),
        (ObjectRef("Deployment", "default", "b"), 5),
    ]
    assert found.documents[1].line_of("spec.replicas") == 8


def test_kinds_without_a_namespace_have_none() -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, namespace: ignored}\n"
    assert read(text, "f").documents[0].ref == ObjectRef("Namespace", "", "shop")


def test_names_of_roles_may_hold_colons() -> None:
    text = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: 'system:osm'}\n"
    assert read(text, "f").documents[0].name == "system:osm"


def test_anchors_and_merges_are_read() -> None:
    (found,) = read(HEAD + "a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{x: 9}, *a]}\n", "f").documents
    assert [found.body[key] for key in "bcd"] == [{"x": 1, "y": 2}, {"x": 1, "y": 3}, {"x": 9, "y": 2}]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", False),
        ("yes", True),
        ("'off'", "off"),
        ("0644", 420),
        ("1_000", 1000),
        ("22:22", "22:22"),
        ("12:30:45", "12:30:45"),
        ("2020-01-01", "2020-01-01"),
        ("1.5", 1.5),
        ("~", None),
        ("", None),
        ("1h", "1h"),
        ("=", "="),
    ],
)
def test_values_are_read_as_kubectl_reads_them(text: str, value: object) -> None:
    (found,) = read(f"{HEAD}v: {text}\n", "f").documents
    assert found.body["v"] == value
    assert type(found.body["v"]) is type(value)


def test_json_may_be_indented_with_tabs() -> None:
    text = '{\n\t"apiVersion": "v1",\n\t"kind": "Thing",\n\t"metadata": {"name": "it"}\n}\n'
    assert [each.line_of("kind") for each in read(text, "f.json").documents] == [3]


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert len(read(b"\xef\xbb\xbf" + HEAD.encode(), "f").documents) == 1


BROKEN_OBJECTS: list[tuple[str, str]] = [
    (HEAD + "a: 1\nb: 2\na: 3\n", "f:6: Thing default/it: a: the key `a` is there twice, first at line 4"),
    (
        HEAD + "spec:\n- x: 1\n  x: 1\n",
        "f:6: Thing default/it: spec[0].x: the key `x` is there twice, first at line 5",
    ),
    (HEAD + "a: !mine 1\n", "f:4: Thing default/it: a: the tag !mine is not allowed"),
    (HEAD + "a: !!int x\n", "f:4: Thing default/it: a: cannot read `x`"),
    (HEAD + "? [a]\n: 1\n", "f:4: Thing default/it: a key is plain text, found a mapping or a sequence"),
    (HEAD + "<<: 1\n", "f:4: Thing default/it: `<<` merges mappings only"),
]


@pytest.mark.parametrize(("text", "sentence"), BROKEN_OBJECTS)
def test_an_object_whose_text_is_broken_is_named_and_not_given(text: str, sentence: str) -> None:
    found = read(text, "f")
    assert (found.documents, told(found), found.whole) == ((), [sentence], True)


NAMELESS: list[tuple[str, str]] = [
    ("a: 1\n", "f:1: apiVersion: a document without apiVersion and kind and metadata.name names no object"),
    (
        "apiVersion: v1\nkind: Thing\n",
        "f:1: metadata.name: a document without metadata.name names no object",
    ),
    (
        "apiVersion: v1\nkind: Thing\nmetadata:\n  generateName: x-\n",
        "f:3: metadata.name: a document without metadata.name names no object; a generateName is for a cluster only",
    ),
    (
        "apiVersion: v1\nkind: Thing\nmetadata:\n  name: My_Thing\n",
        'f:4: metadata.name: expected a name of at most 253 lower-case letters, digits, `-` and `.`, found "My_Thing"',
    ),
    (
        "apiVersion: v1\nkind: Thing\nmetadata:\n  name: 1\n",
        "f:4: metadata.name: expected a name of at most 253 lower-case letters, digits, `-` and `.`, "
        "found 1; put it in quotes",
    ),
    (
        "apiVersion: v1\nkind: Thing\nmetadata:\n  namespace: a.b\n  name: x\n",
        'f:4: metadata.namespace: expected a name of at most 63 lower-case letters, digits and `-`, found "a.b"',
    ),
    ("apiVersion: v1\nkind: [x]\nmetadata: {name: x}\n", "f:2: kind: expected a kind such as Service, found a list"),
    (
        "apiVersion: V 1\nkind: X\nmetadata: {name: x}\n",
        'f:1: apiVersion: expected a group and version such as apps/v1, found "V 1"',
    ),
    ("- a\n", "f:1: a document is a mapping with apiVersion, kind and metadata"),
    ("# x\n\ntext\n", "f:3: a document is a mapping with apiVersion, kind and metadata"),
    ("kind: List\nitems: 1\n", "f:1: `items` of a list is a sequence of objects"),
    ("kind: List\nitems:\n- 1\n", "f:3: `items` of a list is a sequence of objects"),
]


@pytest.mark.parametrize(("text", "sentence"), NAMELESS)
def test_a_document_that_names_no_object_makes_the_file_less_than_whole(text: str, sentence: str) -> None:
    found = read(f"{text}---\n{HEAD}", "f")
    assert (len(found.documents), told(found), found.whole) == (1, [sentence], False)


BOMB = "".join(f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]\n" for last, name in pairwise("abcdefgh"))

UNREADABLE: list[tuple[str | bytes, str]] = [
    (HEAD + "a: [1\n", "f:4: not YAML: while parsing a flow sequence, did not find expected ',' or ']'"),
    (HEAD + "a: 1\n b: 2\n", "f:5: not YAML: mapping values are not allowed in this context"),
    (HEAD + "a:\n\t- x\n", "f:5: not YAML: while scanning for the next token, found character that cannot start any "
     "token"),
    (HEAD + "a: *nowhere\n", "f:4: not YAML: found undefined alias"),
    (HEAD + "a: \x01\n", "f:4: not YAML: control characters are not allowed (character 1)"),
    (b"a: \xff\n", "f: the file is not UTF-8 text (byte 3 is 0xff)"),
    (HEAD + "a: " + "[" * 101 + "]" * 101, "f:4: nested deeper than 100 levels"),
    (HEAD + "a: &a [1]\n" + BOMB, "f:5: aliases stand for more than 10000 values; write them out"),
    (
        HEAD + f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 9)}]\n",
        "f:4: aliases stand for more than 10000 values; write them out",
    ),
    (HEAD + "a: &a {b: *a}\n", "f:4: nested deeper than 100 levels"),
    (" " * (MAX_FILE_BYTES + 1), f"f: the file has {MAX_FILE_BYTES + 1} bytes; at most {MAX_FILE_BYTES} are read"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), UNREADABLE)
def test_a_file_that_cannot_be_read_as_a_whole_gives_nothing(text: str | bytes, sentence: str) -> None:
    found = read(text, "f")
    assert (found.documents, told(found), found.whole) == ((), [sentence], False)


@pytest.mark.parametrize("deep", ["[", "- ", "{a: ", "[" * 999 + "]", "? "])
def test_any_depth_is_refused_before_it_overruns_the_stack(deep: str) -> None:
    assert not read(deep * 100_000, "f").whole


@given(st.binary(max_size=300))
@example(b"\x00")
@example(b"\xff\xfe")
def test_no_bytes_make_reading_fail(text: bytes) -> None:
    read(text, "f.yaml")


TOKENS = ["a", "b: ", "- ", "? ", "\n", "  ", "&x ", "*x", "<<: ", "{", "}", "[", "]", ",", "'", '"', "!!int ", "---\n"]
TOKENS += [
    "kind: List\n",
    "items:\n",
    "kind: X\n",
    "apiVersion: v1\n",
    "metadata: {name: x}\n",
    "|\n",
    "0x",
    "1:2",
    "%",
]


@given(st.lists(st.sampled_from(TOKENS), max_size=30).map("".join))
def test_no_text_makes_reading_fail_and_none_goes_unexplained(text: str) -> None:
    found = read(text, "f.yaml")
    assert found.whole or found.problems
    assert all(problem.line is None or 1 <= problem.line <= text.count("\n") + 1 for problem in found.problems)


def test_long_keys_above_many_values_cost_no_more_than_their_text() -> None:
    found = read(HEAD + f"? {'a' * 200_000}\n: [{'1,' * 100_000}{{y: 1, y: 2}}]\n", "f")
    assert [problem.what for problem in found.problems] == ["the key `y` is there twice, first at line 5"]


def test_an_own_field_keeps_its_line_beside_a_merged_one() -> None:
    (found,) = read(HEAD + "a: &a\n  x: 1\n  y: 2\nb:\n  y: 3\n  <<: *a\n", "f").documents
    assert [found.line_of(path) for path in ("b.y", "b.x")] == [8, 5]
