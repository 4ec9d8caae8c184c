"""A user's mistake, as a value: what is wrong, where, and what would be right.

Parsing and deciding return these beside their results, so that one bad object never stops the rest.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec import Struct

from osm.contracts.names import ObjectRef

Severity = Literal["error", "warning"]

MAX_PROBLEMS = 50
"""How many problems of one object are told, so that a status line stays small."""


class Problem(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """`error`: the object (or this part of it) is not in force; `warning`: it is, but hardly as meant.

    `what` is one lower-case sentence that names what was found and what is allowed.
    `field` is a path into the object such as `spec.backends[1].weight`; empty for the whole.
    `file` and `line` (from 1) say where the text stands, if it came from a file.
    """

    subject: ObjectRef | None = None
    field: str = ""
    what: str
    severity: Severity = "error"
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.file and self.line else f"{self.file}: " if self.file else ""
        subject = f"{self.subject}: " if self.subject else ""
        field = f"{self.field}: " if self.field else ""
        return f"{place}{subject}{field}{self.what}"


def first(problems: Sequence[Problem]) -> tuple[Problem, ...]:
    """At most MAX_PROBLEMS, errors before warnings: what keeps an object out of force is never among the unlisted."""
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    listed = sorted(problems, key=lambda problem: problem.severity != "error")[:MAX_PROBLEMS]
    more = Problem(
        subject=listed[0].subject,
        what=f"{len(problems) - MAX_PROBLEMS} more problems are not listed",
        severity="warning",
        file=listed[0].file,
    )
    return (*listed, more)


def by_severity(found: Iterable[Sequence[Problem]]) -> dict[str, int]:
    """Of the problems of some objects: how many objects have an error, and how many have warnings only."""
    worst = [any(problem.severity == "error" for problem in problems) for problems in found if problems]
    return {"error": worst.count(True), "warning": worst.count(False)}
