"""Help as people read it, on a terminal of 80 columns: nothing is cut off, and no word in two."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from osm.cli.main import app

COLUMNS = 80
COLOUR = re.compile(r"\x1b\[[\d;]*m")
"""On some build machines there are colours though there is no terminal."""

CUT = "\N{HORIZONTAL ELLIPSIS}"

Verb = tuple[str, ...]


def verbs(command: Any, path: Verb = ()) -> Iterator[tuple[Verb, Any]]:
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from verbs(each, (*path, name))


VERBS = dict(verbs(typer.main.get_command(app)))


def shown(verb: Verb) -> str:
    done = CliRunner().invoke(app, [*verb, "--help"], env={"COLUMNS": str(COLUMNS)})
    assert done.exit_code == 0
    return COLOUR.sub("", done.output)


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_no_help_is_cut_off_at_80_columns(verb: Verb) -> None:
    lines = shown(verb).splitlines()
    assert max(map(len, lines)) <= COLUMNS
    assert [line for line in lines if CUT in line] == []


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_every_name_and_every_word_about_an_option_is_shown_whole(verb: Verb) -> None:
    words = set(shown(verb).replace("\N{BOX DRAWINGS LIGHT VERTICAL}", " ").replace(",-", " -").split())
    options = [each for each in VERBS[verb].params if not getattr(each, "hidden", False)]
    names = {name for each in options if each.param_type_name == "option" for name in each.opts + each.secondary_opts}
    about = {word for each in options for word in (each.help or "").split()}
    assert names | about <= words


def test_the_folder_of_the_root_is_told_whole() -> None:
    assert "~/.local/state/osm/ca" in shown(("up",))
