"""`osm policy check`: judge a folder of policies without running anything."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import typer
from msgspec import structs

from osm.cli.machine.up import FolderOption
from osm.cli.output import Format, OutputOption, problems, stdout, structured
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.manifests.document import RawDocument
from osm.manifests.folder import scan
from osm.smi.check import check as check_text
from services.catalog.check import check as check_references

app = typer.Typer(no_args_is_help=True, help="Judge policies: in a folder, or between two workloads.")


@app.command("check")
def check(folder: FolderOption, output: OutputOption = Format.table) -> None:
    """Find what is wrong in a folder of policies: each object, field and line, what was found and what is allowed.

    Whether the Services and accounts that they name exist, a running mesh says (osm status).
    Exit status 1 if there is an error; warnings alone are 0.

    Example: osm policy check -f demo/manifests
    """
    found = problems_of(folder)
    errors = sum(problem.severity == "error" for problem in found)
    if output is Format.table:
        problems(found)
        stdout.print(f"{errors} errors, {len(found) - errors} warnings" if found else "[green]nothing is wrong[/]")
    else:
        structured({"problems": found}, output)
    if errors:
        raise typer.Exit(1)


def problems_of(folder: Path) -> list[Problem]:
    """What the text says wrong, and what does not exist of what it refers to, in the order of the text."""
    sound, in_text = check_text(scan(folder))
    raws = {raw.ref: raw for raw, _ in sound}
    references = check_references([policy for _, policy in sound])
    return sorted({*in_text, *_placed(references, raws)}, key=lambda problem: (problem.file or "", problem.line or 0))


def _placed(found: tuple[Problem, ...], raws: Mapping[ObjectRef, RawDocument]) -> Iterator[Problem]:
    """Problems of objects with the file and line where the object's field stands."""
    for problem in found:
        raw = raws.get(problem.subject) if problem.subject is not None else None
        yield problem if raw is None else structs.replace(problem, file=raw.file, line=raw.line_of(problem.field))
