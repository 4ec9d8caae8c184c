"""One object as a user wrote it, with its place in a file; and all objects of a folder.

Apart from the reading, because pure code (`osm.smi`, `last_good`, each service's parsing) speaks of these types alone.
A document is not valid in any sense but this: it says what it is and what it is called.
"""

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Generic, TypeVar

from msgspec import Struct

from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem, Severity

T = TypeVar("T")


def parent(path: str) -> str:
    """The path of what holds the field at `path`; empty for a top-level field."""
    return path[: max(path.rfind("."), path.rfind("["), 0)]


class RawDocument(Struct, frozen=True, kw_only=True):
    """One object, not yet understood. `namespace` is empty for kinds that have none.

    `line` (from 1) is where the document starts; `lines` holds the line of every field path such as
    `spec.backends[1].weight`.
    """

    kind: str
    api_version: str
    namespace: str
    name: str
    body: Mapping[str, Any]
    file: str
    line: int
    lines: Mapping[str, int]

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(self.kind, self.namespace, self.name)

    @property
    def group(self) -> str:
        """The API group; empty for Kubernetes' core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api_version.rpartition("/")[2]

    def line_of(self, path: str) -> int:
        """The line of the field; of what should hold it, if it is not there."""
        while path and path not in self.lines:
            path = parent(path)
        return self.lines[path] if path else self.line

    def problem(self, field: str, what: str, severity: Severity = "error") -> Problem:
        """A problem of this object at `field`, with file and line."""
        return Problem(
            subject=self.ref, field=field, what=what, severity=severity, file=self.file, line=self.line_of(field)
        )


class Parsed(Struct, Generic[T], frozen=True, kw_only=True):
    """What a reader made of a document: `object` is None if an error is among the problems."""

    object: T | None
    problems: tuple[Problem, ...] = ()


class Scan(Struct, frozen=True, kw_only=True):
    """A folder as it was read, in order of file and line, each object once.

    `problems` are those of files (`subject` is None) and of documents whose text is broken (a duplicate key, a
    second definition). `unreadable` are files and folders of which something could not be read: what was
    in them before is not gone, it is unknown.
    """

    documents: tuple[RawDocument, ...] = ()
    problems: tuple[Problem, ...] = ()
    unreadable: frozenset[str] = frozenset()

    def unread(self, file: str) -> bool:
        """Whether the file, or a folder above it, could not be read as a whole."""
        if not self.unreadable:
            return False
        path = PurePath(file)
        return any(str(place) in self.unreadable for place in (path, *path.parents))
