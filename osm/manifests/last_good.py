"""Scans → the objects in force: what was good stays while its text is broken, and goes only when it is gone.

The rule of every reader of a folder, so it stands once, and pure. Nothing is derived from what could not be read:
an object disappears only if the file it was in has been read as a whole and no file holds it any more.
"""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.manifests.document import Parsed, RawDocument, Scan

T = TypeVar("T")


class Kept(Struct, Generic[T], frozen=True, kw_only=True):
    """An object of a reader: its last good form, and the document that is there now.

    `good` is None while the object never was good. `document` may be broken, and newer than `good`;
    `file` is where the object was seen last.
    """

    good: T | None
    file: str
    document: RawDocument | None
    problems: tuple[Problem, ...] = ()


class InForce(Struct, Generic[T], frozen=True, kw_only=True):
    """What a reader goes by. `problems` are all of the scan's and of its own objects', sorted.

    `complete` is False while something in the folder could not be read: objects this process has never seen
    may be hidden there, so nothing that was published before may be taken back.
    """

    kept: Mapping[ObjectRef, Kept[T]]
    problems: tuple[Problem, ...] = ()
    complete: bool = True

    @property
    def objects(self) -> dict[ObjectRef, T]:
        """The objects in force, sorted."""
        return {ref: kept.good for ref, kept in sorted(self.kept.items()) if kept.good is not None}


def in_force(
    scan: Scan, parse: Callable[[RawDocument], Parsed[T] | None], before: InForce[T] | None = None
) -> InForce[T]:
    """The objects in force after `scan`, given those before it (None at the first scan).

    `parse` returns None for a document that is another reader's; it is not asked again for unchanged ones.
    """
    old: Mapping[ObjectRef, Kept[T]] = before.kept if before is not None else {}
    kept: dict[ObjectRef, Kept[T]] = {}
    for document in scan.documents:
        last = old.get(document.ref)
        if last is not None and last.file < document.file and scan.unread(last.file):
            continue  # the first definition wins, and it still stands in a file that cannot be read now
        now = _renewed(document, parse, last)
        if now is not None:
            kept[document.ref] = now
    broken = {problem.subject for problem in scan.problems if problem.severity == "error"}
    for ref, last in old.items():
        if ref not in kept and last.good is not None and (ref in broken or scan.unread(last.file)):
            kept[ref] = Kept(good=last.good, file=last.file, document=None)
    found = {problem for each in kept.values() for problem in each.problems} | set(scan.problems)
    problems = sorted(found, key=lambda each: (each.file or "", each.line or 0, each.field, each.what))
    return InForce(kept=kept, problems=tuple(problems), complete=not scan.unreadable)


def _renewed(
    document: RawDocument, parse: Callable[[RawDocument], Parsed[T] | None], last: Kept[T] | None
) -> Kept[T] | None:
    if last is not None and last.document is document:
        return last
    parsed = parse(document)
    if parsed is None:
        return None
    good = parsed.object if parsed.object is not None else last.good if last is not None else None
    return Kept(good=good, file=document.file, document=document, problems=parsed.problems)
