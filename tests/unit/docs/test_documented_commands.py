"""Every `osm` command that README.md, docs/, the chart and the compose file show is one, with the options it has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from osm.cli.main import app

ROOT = Path(__file__).parents[3]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^ *```(?:sh|console)?\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
SHOWN = re.compile(r"^\s*(?:\$ )?(?:\.venv/bin/)?osm ((?:[^\n]*\\\n)*[^\n]*)$", re.MULTILINE)
INLINE = re.compile(r"`(?:\.venv/bin/)?osm ([a-z][^`\n]*)`(?! does not exist)")
NOT_OURS = re.compile(r"\| `osm [^|]*\|")
"""The first column of a table of differences: OSM 1.2's own commands."""


def commands() -> Iterator[str]:
    for file in FILES:
        text = file.read_text(encoding="utf-8")
        for block in BLOCK.findall(text):
            yield from (found.replace("\\\n", " ") for found in SHOWN.findall(block))
        yield from INLINE.findall(NOT_OURS.sub("", text))


@pytest.mark.parametrize("words", sorted(set(commands())))
def test_a_documented_command_exists_with_its_options(words: str) -> None:
    command = typer.main.get_command(app)
    given = shlex.split(words.partition(" > ")[0], comments=True)
    while given and given[0] in getattr(command, "commands", {}):
        command = command.commands[given.pop(0)]  # type: ignore[attr-defined]  # a group
    options = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    assert not hasattr(command, "commands") or not given, f"no such command: osm {words}"
    for word in given:
        if word.startswith("-") and word != "-":
            assert word.partition("=")[0] in options | {"--help"}, f"osm {words}: {sorted(options)}"
