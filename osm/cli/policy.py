"""`osm policy check`: judge a folder of policies without running anything."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

import typer
from msgspec import Struct, structs
from rich.markup import escape

from osm.cli.machine.up import FolderOption
from osm.cli.output import Format, OutputOption, counted, problems, stdout, structured
from osm.contracts.endpoints import Service, ServicePort
from osm.contracts.names import ObjectRef, ServiceName
from osm.contracts.problem import Problem
from osm.manifests.document import RawDocument, Scan
from osm.manifests.folder import scan
from osm.manifests.workloads import Service as Written
from osm.manifests.workloads import parse
from osm.smi.check import check as check_text
from services.catalog.check import check as check_references
from services.catalog.check import unjudged

LISTED = 5
"""Names a sentence lists at most."""

app = typer.Typer(no_args_is_help=True, help="Judge policies: in a folder, or between two workloads.")


class Judged(Struct, frozen=True, kw_only=True):
    """`problems`: in the order of the text; `unjudged`: what a folder cannot say, a sentence each."""

    problems: tuple[Problem, ...]
    unjudged: tuple[str, ...] = ()


@app.command("check")
def check(folder: FolderOption, output: OutputOption = Format.table) -> None:
    """Find what is wrong in a folder of policies: each object, field and line, what was found and what is allowed.

    Whether the Services that they name exist is judged by those in the folder, in each namespace of which it holds
    some; else it says that it cannot be judged. Whether accounts exist, a running mesh says (osm status).
    Exit status 1 if there is an error; warnings alone are 0.

    Example: osm policy check -f demo/manifests
    """
    found = judged(folder)
    errors = sum(problem.severity == "error" for problem in found.problems)
    if output is Format.table:
        problems(found.problems)
        for sentence in found.unjudged:
            stdout.print(f"[dim]not judged:[/] {escape(sentence)}", soft_wrap=True)
        counts = counted(errors, len(found.problems) - errors)
        stdout.print(counts if found.problems else "[green]nothing is wrong[/]")
    else:
        structured(found, output)
    if errors:
        raise typer.Exit(1)


def judged(folder: Path) -> Judged:
    """What the text says wrong, and what does not exist of what it refers to."""
    scanned = scan(folder)
    sound, in_text = check_text(scanned)
    raws = {raw.ref: raw for raw, _ in sound}
    policies = [policy for _, policy in sound]
    services = () if scanned.unreadable else tuple(_services(scanned))
    references = check_references(policies, services=services)
    found = {*in_text, *_placed(references, raws)}
    return Judged(
        problems=tuple(sorted(found, key=lambda each: (each.file or "", each.line or 0, each.field, each.what))),
        unjudged=tuple(_sentences(unjudged(policies, services), whole=not scanned.unreadable)),
    )


def _services(scanned: Scan) -> Iterator[Service]:
    """The Services of the folder, one that is broken among them. Where one is, no ports are compared."""
    read = {raw.ref: parse(raw) for raw in scanned.documents if raw.kind == "Service" and not raw.group}
    specs = {ref: parsed.object.spec for ref, parsed in read.items() if parsed and isinstance(parsed.object, Written)}
    broken = {problem.subject for problem in scanned.problems if problem.subject and problem.subject.kind == "Service"}
    unclear = {ref.namespace for ref in broken | (read.keys() - specs.keys())}
    for ref in sorted(broken | read.keys()):
        written = specs[ref].ports if ref in specs and ref.namespace not in unclear else ()
        ports = tuple(ServicePort(port=each.port, name=each.name) for each in written if each.protocol == "TCP")
        yield Service(name=ServiceName(ref.namespace, ref.name), ports=ports)


def _sentences(names: tuple[ServiceName, ...], *, whole: bool) -> Iterator[str]:
    why = "the folder holds no Service of that namespace" if whole else "not all of the folder can be read"
    for namespace, group in groupby(names, key=lambda name: name.namespace):
        named = [each.name for each in group]
        more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
        what = f"whether there is a Service {', '.join(named[:LISTED])}{more} in namespace {namespace}"
        yield f"{what}; {why}"


def _placed(found: tuple[Problem, ...], raws: Mapping[ObjectRef, RawDocument]) -> Iterator[Problem]:
    """Problems of objects with the file and line where the object's field stands."""
    for problem in found:
        raw = raws.get(problem.subject) if problem.subject is not None else None
        yield problem if raw is None else structs.replace(problem, file=raw.file, line=raw.line_of(problem.field))
