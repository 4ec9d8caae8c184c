"""What a document gets wrong, in the words its author reads."""

from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from osm.contracts.names import DnsLabel, Port
from osm.manifests.convert import convert
from osm.manifests.yaml import read


class Strict(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    pass


class Inner(Strict, frozen=True, kw_only=True):
    depth: int = 0


class Row(Strict, frozen=True, kw_only=True):
    port: Port = 1
    max_size: int | None = None
    target: int | str = 0
    name: DnsLabel = "x"
    mode: Literal["On", "Off"] = "On"
    flag: bool = False
    labels: dict[str, str] = {}
    inner: Inner | None = None
    ratio: Annotated[float, Meta(ge=0, description="a share from 0")] = 0.0


class Spec(Strict, frozen=True, kw_only=True):
    rows: tuple[Row, ...]


class Thing(Struct, frozen=True, kw_only=True, rename="camel"):
    spec: Spec
    metadata: dict[str, Any] = {}


def problem(rows: str) -> str:
    text = f"apiVersion: v1\nkind: Thing\nmetadata: {{name: it}}\nspec:\n{rows}\n"
    found = convert(read(text, "f").documents[0], Thing)
    assert isinstance(found, tuple)
    (only,) = found
    return f"{only.line} {only.field}: {only.what}"


def test_what_is_right_is_converted() -> None:
    text = "apiVersion: v1\nkind: Thing\nmetadata: {name: it}\nspec: {rows: [{maxSize: 3}, {}]}\n"
    assert convert(read(text, "f").documents[0], Thing) == Thing(
        spec=Spec(rows=(Row(max_size=3), Row())), metadata={"name": "it"}
    )


ROW = "  rows:\n  - name: ok\n  - name: second\n    "


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("  {}", "4 spec.rows: this field is required and not there"),
        ("  rows: x", '5 spec.rows: expected a list, found "x"'),
        ("  rows:", "5 spec.rows: expected a list, found nothing"),
        ("  rows: [1]", "5 spec.rows[0]: expected a mapping, found 1"),
        (
            ROW + "maxsize: 1",
            "8 spec.rows[1].maxsize: unknown field; allowed are flag, inner, labels, maxSize, mode, name, port, "
            "ratio, target (did you mean `maxSize`?)",
        ),
        (ROW + "port: '80'", '8 spec.rows[1].port: expected a whole number, found "80"; remove the quotes'),
        (ROW + "port: many", '8 spec.rows[1].port: expected a whole number, found "many"'),
        (ROW + "port: 70000", "8 spec.rows[1].port: expected a whole number <= 65535, found 70000"),
        (ROW + "maxSize: yes", "8 spec.rows[1].maxSize: expected a whole number, found true"),
        (ROW + "target: [1]", "8 spec.rows[1].target: expected a whole number or text, found a list"),
        (ROW + "mode: on", "8 spec.rows[1].mode: expected one of Off, On, found true"),
        (ROW + "mode: Auto", '8 spec.rows[1].mode: expected one of Off, On, found "Auto"'),
        (ROW + "flag: 'yes'", '8 spec.rows[1].flag: expected true or false, found "yes"; remove the quotes'),
        (ROW + "flag: perhaps", '8 spec.rows[1].flag: expected true or false, found "perhaps"'),
        (ROW + "labels: {a: b, c: 1}", "8 spec.rows[1].labels.c: expected text, found 1; put it in quotes"),
        (ROW + "labels: {a: b, c: off}", "8 spec.rows[1].labels.c: expected text, found false; put it in quotes"),
        (ROW + "labels: {a: {}}", "8 spec.rows[1].labels.a: expected text, found a mapping"),
        (
            ROW + "inner: {dept: 1}",
            "8 spec.rows[1].inner.dept: unknown field; allowed are depth (did you mean `depth`?)",
        ),
        (ROW + "inner: {depth: x}", '8 spec.rows[1].inner.depth: expected a whole number, found "x"'),
        (ROW + "labels: []", "8 spec.rows[1].labels: expected a mapping, found a list"),
        (ROW + "ratio: -1", "8 spec.rows[1].ratio: expected a share from 0, found -1"),
        (
            "  rows:\n  - name: Not_OK",
            '6 spec.rows[0].name: expected a name of at most 63 lower-case letters, digits and `-`, found "Not_OK"',
        ),
        (
            "  rows:\n  - name: " + "x" * 64,
            "6 spec.rows[0].name: expected a name of at most 63 lower-case letters, digits and `-`, found "
            f'"{"x" * 60}…"',
        ),
    ],
)
def test_a_mistake_says_what_was_found_and_what_is_allowed(rows: str, sentence: str) -> None:
    assert problem(rows) == sentence
