"""Adds file and line to a problem: who judges an object need not know where in a file its fields stand.

Apart from the commands because all that show problems do it. Pure. The service that has read the object says where
its fields are; another that finds a reference leading nowhere says the field. Here the two meet.
"""

from collections.abc import Iterable, Mapping

from msgspec import structs

from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import FileStatus, ObjectStatus

Places = Mapping[ObjectRef, ObjectStatus]
"""Of each object the line that says where it stands."""


def places(objects: Iterable[ObjectStatus]) -> Places:
    """The lines that say where their object stands, by object."""
    return {line.subject: line for line in objects if line.file}


def placed(problem: Problem, known: Places) -> Problem:
    """The problem with file and line, if it has none and they are known."""
    where = known.get(problem.subject) if problem.subject is not None and problem.file is None else None
    if where is None:
        return problem
    return structs.replace(problem, file=where.file, line=_line(problem.field, where.lines))


def object_problems(objects: Iterable[ObjectStatus], files: Iterable[FileStatus]) -> list[Problem]:
    """All problems, errors first, each once and with its place."""
    objects = tuple(objects)
    known = places(objects)
    found = {placed(problem, known) for line in objects for problem in line.problems}
    found |= {problem for line in files for problem in line.problems}
    return sorted(found, key=lambda problem: (problem.severity, str(problem)))


def _line(field: str, lines: Iterable[tuple[str, int]]) -> int | None:
    """Of the field, else of the nearest thing around it that has a place."""
    around = [(path, line) for path, line in lines if _holds(path, field)]
    return max(around, key=lambda each: len(each[0]))[1] if around else None


def _holds(path: str, field: str) -> bool:
    return not path or field == path or field.startswith((f"{path}.", f"{path}["))
