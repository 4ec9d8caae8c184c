"""What a service says to users about the objects it reads from a folder: one status line an object.

Apart from the services because each that owns some kinds says it alike. Pure: lines in, lines to write out.
Problems of files as a whole are not said here: `meshspec` reads the same folder and says those.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import TypedDict, TypeVar

import msgspec
from msgspec import Struct

from osm.contracts.channels import OBJECT_STATUS
from osm.contracts.codec import encode
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem, Severity
from osm.contracts.status import ObjectStatus
from osm.manifests.last_good import InForce, Kept

T = TypeVar("T", bound=Struct)

MAX_PLACES = 300
"""Of how many fields of an object it is told where they stand: hand-written ones have fewer."""


class _Places(TypedDict, total=False):
    file: str
    lines: tuple[tuple[str, int], ...]


Lines = Mapping[str, ObjectStatus]
"""Key in the bucket `status` → line."""


def problem(ref: ObjectRef, kept: Kept[T], field: str, what: str, severity: Severity = "error") -> Problem:
    """A problem of an object in force, with its line if its text can be read."""
    if kept.document is not None:
        return kept.document.problem(field, what, severity)
    return Problem(subject=ref, field=field, what=what, severity=severity, file=kept.file)


def verdicts(service: str, found: InForce[T], kinds: Collection[str], more: Iterable[Problem] = ()) -> Lines:
    """A line for every object of these kinds, good or bad; `more` are problems that only the service can see."""
    problems: dict[ObjectRef, set[Problem]] = {ref: set() for ref in found.kept if ref.kind in kinds}
    for each in (*found.problems, *more):
        if each.subject is not None and each.subject.kind in kinds:
            problems.setdefault(each.subject, set()).add(each)
    objects = found.objects
    return {
        OBJECT_STATUS.key(service, ref.kind, ref.namespace or "-", ref.name): ObjectStatus(
            subject=ref,
            generation=generation(objects[ref]) if ref in objects else "",
            problems=tuple(sorted(about, key=lambda each: (each.line or 0, each.field, each.what))),
            **_places(found.kept.get(ref)),
        )
        for ref, about in sorted(problems.items())
    }


def _places(kept: Kept[T] | None) -> _Places:
    """Of an object that stands in a file: where."""
    document = kept.document if kept is not None else None
    if document is None or not document.file:
        return {}
    return {"file": document.file, "lines": tuple(islice(document.place.lines(), MAX_PLACES))}


def generation(meaning: Struct) -> str:
    """Equal for texts that mean the same."""
    return hashlib.sha256(encode(meaning)).hexdigest()[:16]


def spoken(before: Lines, now: Lines, revision: int) -> tuple[Lines, Lines, list[str]]:
    """All lines as they are now, those to write, and the keys to delete.

    A line keeps the revision at which its object was first published with this meaning.
    """
    whole: dict[str, ObjectStatus] = {}
    for key, line in now.items():
        old = before.get(key)
        same = old is not None and old.generation == line.generation
        whole[key] = msgspec.structs.replace(line, revision=old.revision if old is not None and same else revision)
    changed = {key: line for key, line in whole.items() if before.get(key) != line}
    return whole, changed, sorted(before.keys() - whole.keys())
