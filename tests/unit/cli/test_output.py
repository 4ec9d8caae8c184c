"""What programs and people read of a command: whole lines when piped, names as they are, no word for who left."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import yaml

from osm.bus import Document
from osm.cli.bus import show
from osm.cli.output import READER_LEFT, Format, counted, table

OSM = Path(sys.executable).with_name("osm")
MANIFESTS = Path(__file__).resolve().parents[3] / "demo" / "manifests"


def test_a_cell_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    table(("proxy", "why"), [("a", "namespace [bookstore] is [red]"), ("b", None)])
    assert "namespace [bookstore] is [red]" in capsys.readouterr().out


def test_one_fault_is_not_told_as_several() -> None:
    assert (counted(0, 1), counted(1, 2)) == ("0 errors, 1 warning", "1 error, 2 warnings")


def test_a_row_is_a_line_however_long_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["n" * 253] * 8
    table(["column"] * 8, [names])
    assert capsys.readouterr().out.splitlines()[1].split() == names


def test_columns_are_as_wide_as_what_is_in_them_and_a_cell_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    table(("name", "why", "up"), [("a", "one\ntwo :on: ", "1s"), ("bookstore", None, "")])
    assert capsys.readouterr().out.splitlines() == [
        "NAME       WHY           UP",
        "a          one two :on:  1s",
        "bookstore  -",
    ]


def test_without_rows_the_sentence_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    table(("a",), [], empty="nothing in [x]")
    assert capsys.readouterr().out == "nothing in [x]\n"


@pytest.mark.parametrize(
    "command", ["bus permissions", f"policy check -f {MANIFESTS}", "", "--help", "install --help", "--version"]
)
def test_a_reader_that_leaves_ends_a_command_without_a_word(command: str) -> None:
    pipe = f"set -o pipefail; {OSM} {command} | true"
    done = subprocess.run(["bash", "-c", pipe], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (READER_LEFT, "")


@pytest.mark.parametrize(("output", "read"), [(Format.json, msgspec.json.decode), (Format.yaml, yaml.safe_load)])
def test_the_bus_is_told_in_the_format_that_was_asked_for(
    output: Format, read: Callable[[str], object], capsys: pytest.CaptureFixture[str]
) -> None:
    told = Document(bucket="catalog", key="mesh", value=None, revision=3, body=b'{"a":[1]}', why="found [x]")
    show(told, output)
    data = read(capsys.readouterr().out)
    assert data == {
        "bucket": "catalog",
        "key": "mesh",
        "deleted": False,
        "writer": "",
        "revision": 3,
        "body": {"a": [1]},
        "why": "found [x]",
    }
    show(told, Format.table)
    assert "cannot be decoded: found [x]" in capsys.readouterr().out
