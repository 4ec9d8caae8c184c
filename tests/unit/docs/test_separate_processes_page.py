"""docs/separate-processes.md says what there is: processes, settings, commands."""

import re
from pathlib import Path

import typer.main

from osm.bus.nats_settings import NatsSettings
from osm.cli.machine.process_specs import SERVICES
from osm.cli.machine.separate_processes import SERVER
from osm.cli.main import app

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "separate-processes.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")

ROW = re.compile(r"^\| `([a-z-]+)` \|", re.MULTILINE)
VARIABLE = re.compile(r"\bOSM_[A-Z_]+[A-Z]\b")
COMMAND = re.compile(r"\bosm ((?:[a-z]+ ?){1,2})")


def test_the_table_has_a_row_for_every_process() -> None:
    assert sorted(ROW.findall(PAGE)) == sorted((SERVER, *SERVICES))


def test_every_variable_is_a_setting() -> None:
    named = set(VARIABLE.findall(PAGE))
    assert named
    assert {name for name in named if f"`{name}`" not in SETTINGS} == set()


def test_every_command_is_one() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # a group
    for words in {found.strip() for found in COMMAND.findall(PAGE)}:
        first, _, second = words.partition(" ")
        assert first in commands, words
        if hasattr(commands[first], "commands") and second:
            assert second in commands[first].commands, words


def test_the_lease_is_what_the_page_says() -> None:
    assert f"`OSM_NATS_LEASE_S` ({NatsSettings().lease_s:g} s)" in PAGE
