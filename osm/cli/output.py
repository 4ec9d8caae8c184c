"""How commands speak: tables for people, JSON or YAML for scripts, errors with the next step.

Colours are rich's business: it leaves them out when the output is no terminal (or NO_COLOR is set).
"""

import os
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any, NoReturn

import msgspec
import typer
import yaml
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape

from osm.cli.command_error import CommandError as CommandError  # noqa: PLC0414  # who speaks ends with it, too
from osm.contracts.problem import Problem


class Format(StrEnum):
    """`table` is for people and may change; `json` and `yaml` are for scripts and only grow."""

    table = "table"
    json = "json"
    yaml = "yaml"


OutputOption = Annotated[Format, typer.Option("--output", "-o", help="How to print the result.")]

PIPED_COLUMNS = 100_000
"""No line is folded where no terminal says how wide it is: programs read by lines."""

READER_LEFT = 141
"""Exit status when whoever read our output has had enough, as `head` has: the shell's for SIGPIPE."""


class Output(Console):
    """A console whose reader may go."""

    def on_broken_pipe(self) -> None:
        reader_left()


def reader_left() -> NoReturn:
    """End quietly: what is still to be flushed goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise SystemExit(READER_LEFT) from None


stdout = Output(highlight=False, emoji=False, width=None if sys.stdout.isatty() else PIPED_COLUMNS)
stderr = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)


def fail(error: CommandError) -> NoReturn:
    """Print the error to standard error and end with its exit status."""
    stderr.print(f"[bold red]error:[/] {escape(error.what)}")
    if error.remedy:
        stderr.print(f"  [dim]try:[/] {escape(error.remedy)}")
    raise SystemExit(error.status)


def _whole(value: Any) -> Any:
    """Structs with every field: what is left out on the bus for being the default is said to a script."""
    match value:
        case msgspec.Struct():
            kind = value.__struct_config__
            tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
            return tag | {field: _whole(getattr(value, field)) for field in value.__struct_fields__}
        case dict():
            return {key: _whole(each) for key, each in value.items()}
        case list() | tuple():
            return [_whole(each) for each in value]
    return value


def structured(value: Any, output: Format) -> None:
    """Print plain data (or structs) as JSON or YAML."""
    data = msgspec.to_builtins(_whole(value), order="deterministic")
    if output is Format.yaml:
        plain(as_yaml(data))
    else:
        plain(msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n")


def as_yaml(value: Any, *, one_of_many: bool = False) -> str:
    """Plain data as a YAML document, or as one of a stream of them."""
    return yaml.safe_dump(value, sort_keys=False, explicit_start=one_of_many)


def plain(text: str = "") -> None:
    """Write a text as it is, and all that was written before it."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        reader_left()


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str = "") -> None:
    """Print a table, or the sentence `empty` if there is no row.

    A row is a line, on a narrow terminal too, where it runs over: half a name in a cell is no name to copy.
    """
    filled = [[_cell(value) for value in row] for row in rows]
    if not filled:
        if empty:
            stdout.print(f"[dim]{escape(empty)}[/]")
        return
    lines = [[column.upper() for column in columns], *filled]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(columns))]
    for number, line in enumerate(lines):
        cells = (set_cell_size(cell, width) for cell, width in zip(line, widths, strict=True))
        stdout.print("  ".join(cells).rstrip(), style="" if number else "bold", markup=False, soft_wrap=True)


def problems(found: Iterable[Problem]) -> None:
    """Print users' mistakes, a line each: where, which object, which field, what."""
    for problem in found:
        stdout.print(problem_line(problem), soft_wrap=True)


def counted(errors: int, warnings: int) -> str:
    """The last line under a list of faults."""
    words = ((errors, "error"), (warnings, "warning"))
    return ", ".join(f"{count} {word}" if count == 1 else f"{count} {word}s" for count, word in words)


def problem_line(problem: Problem) -> str:
    colour = "red" if problem.severity == "error" else "yellow"
    return f"[{colour}]{problem.severity}:[/] {escape(str(problem))}"


def _cell(value: Any) -> str:
    return "-" if value is None else " ".join(str(value).split())
