"""One object as a user wrote it, with its place in a file; and all objects of a folder.

Apart from the reading, because pure code (`osm.smi`, `last_good`, each service's parsing) speaks of these types alone.
A document is not valid in any sense but this: it says what it is and what it is called.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any, Generic, TypeVar

from msgspec import Struct

from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem, Severity

T = TypeVar("T")


class Place(Struct, frozen=True):
    """Where a value stands in its file (`line` from 1; 0 if it came from no file), and where what is in it does.

    A tree beside the values, not a table of paths: a path is as long as a user makes it.
    """

    line: int = 0
    inner: "Mapping[str, Place] | tuple[Place, ...]" = {}

    def at(self, path: str) -> "Place":
        """The place of the field at `path`; of what should hold it, if it is not there."""
        place = self
        while path and (step := place._step(path)) is not None:
            place, path = step
        return place

    def lines(self, path: str = "") -> "Iterator[tuple[str, int]]":
        """This place's path and line, and those of everything in it."""
        yield path, self.line
        if isinstance(self.inner, tuple):
            for index, place in enumerate(self.inner):
                yield from place.lines(f"{path}[{index}]")
        else:
            for key, place in self.inner.items():
                yield from place.lines(f"{path}.{key}" if path else key)

    def _step(self, path: str) -> "tuple[Place, str] | None":
        """One step down, and the rest of the path. Keys may hold dots: the longest that fits is meant."""
        if isinstance(self.inner, tuple):
            index, _, rest = path.removeprefix("[").partition("]")
            within = path.startswith("[") and index.isdecimal() and int(index) < len(self.inner)
            return (self.inner[int(index)], rest.removeprefix(".")) if within else None
        keys = [key for key in self.inner if path == key or path.startswith((f"{key}.", f"{key}["))]
        key = max(keys, key=len, default=None)
        return (self.inner[key], path.removeprefix(key).removeprefix(".")) if key is not None else None


class RawDocument(Struct, frozen=True, kw_only=True):
    """One object, not yet understood. `namespace` is empty for kinds that have none, `file` if it came from none."""

    kind: str
    api_version: str
    namespace: str
    name: str
    body: Mapping[str, Any]
    file: str = ""
    place: Place = Place()

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

    @property
    def line(self) -> int:
        """Where the document starts."""
        return self.place.line

    def line_of(self, path: str) -> int:
        """The line of a field such as `spec.backends[1].weight`; of what should hold it, if it is not there."""
        return self.place.at(path).line

    def problem(self, field: str, what: str, severity: Severity = "error") -> Problem:
        """A problem of this object at `field`, with file and line."""
        return Problem(
            subject=self.ref,
            field=field,
            what=what,
            severity=severity,
            file=self.file or None,
            line=self.line_of(field) or None,
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
