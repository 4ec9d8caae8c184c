"""Text → documents with a line for every field, without ever raising for what a user wrote.

Apart from the folder, because text also comes from standard input and from tests. It reads YAML as kubectl does
(YAML 1.1: `off` is false, `0644` is octal), except that what looks like a time stays text: `22:22` is a port pair,
not a number in base 60. It refuses what would cost more than its size (aliases of aliases) and what no
object needs (custom tags, keys that are not plain text, a hundred levels).
"""

from collections.abc import Iterator
from typing import Any

import yaml
from msgspec import Struct

from osm.contracts.problem import Problem
from osm.manifests.document import RawDocument
from osm.manifests.naming import Nameless, identify
from osm.manifests.values import MAX_DEPTH, Budget, Refused, Values, line_of

MAX_FILE_BYTES = 2 * 1024 * 1024
"""More than a cluster would store in one object; nobody writes more by hand."""

MAX_PROBLEMS = 100
"""How many documents without a name are told of one file: it is another kind of file, most likely."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = "tag:yaml.org,2002:null"


class Reading(Struct, frozen=True, kw_only=True):
    """What a text holds. `whole` is False if something in it could not be told: an object may be missing."""

    documents: tuple[RawDocument, ...] = ()
    problems: tuple[Problem, ...] = ()
    whole: bool = True


def read(text: str | bytes, file: str) -> Reading:
    """All objects of a text, `List` kinds unfolded. A text with a syntax error gives no document at all."""
    if len(text) > MAX_FILE_BYTES:
        what = f"the file has {len(text)} bytes; at most {MAX_FILE_BYTES} are read"
        return Reading(problems=(Problem(what=what, file=file),), whole=False)
    try:
        decoded = text if isinstance(text, str) else text.decode("utf-8-sig")
        nodes = list(_nodes(decoded.replace("\t", " ") if file.endswith(".json") else decoded))
        reader = _Reader(file)
        for node in nodes:
            reader.document(node)
    except UnicodeDecodeError as error:
        what = f"the file is not UTF-8 text (byte {error.start} is {error.object[error.start]:#04x})"
        return Reading(problems=(Problem(what=what, file=file),), whole=False)
    except Refused as refused:
        return Reading(problems=(Problem(what=refused.what, file=file, line=refused.line),), whole=False)
    return Reading(documents=tuple(reader.documents), problems=tuple(reader.problems), whole=reader.whole)


def _nodes(text: str) -> Iterator[yaml.Node]:
    try:
        _refuse_depth(text)
        yield from yaml.compose_all(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        last = max(1, text.count("\n") + (not text.endswith("\n")))  # the end of the text is no line of its own
        raise Refused(f"not YAML: {said}", min(mark.line + 1, last) if mark else 1) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise Refused(f"not YAML: {error.reason} (character {error.character!r})", line) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Refused(f"not YAML: {error}", 1) from error


def _refuse_depth(text: str) -> None:
    """Composing recurses in C, and deep nesting overruns its stack: the flat events tell the depth before."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise Refused(f"nested deeper than {MAX_DEPTH} levels", line_of(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reader:
    """Reads the composed documents of one file; what it counts is for the file as a whole."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.documents: list[RawDocument] = []
        self.problems: list[Problem] = []
        self.whole = True
        self._budget = Budget()

    def document(self, node: yaml.Node) -> None:
        line = line_of(node)
        if isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~"):
            return  # a document of comments only
        if not isinstance(node, yaml.MappingNode):
            self._unnamed("a document is a mapping with apiVersion, kind and metadata", line)
            return
        items = _items(node)
        if items is None:
            self._object(node)
        elif isinstance(items, yaml.SequenceNode):
            for item in items.value:
                self._item(item)
        elif items.tag != _NULL:
            self._unnamed("`items` of a list is a sequence of objects", line)

    def _item(self, node: yaml.Node) -> None:
        """A list holds objects, not lists: an alias could make it endless."""
        if not isinstance(node, yaml.MappingNode) or _items(node) is not None:
            self._unnamed("`items` of a list is a sequence of objects", line_of(node))
            return
        self._object(node)

    def _object(self, node: yaml.MappingNode) -> None:
        values = Values(self._budget)
        body, place = values.read(node)
        try:
            api_version, ref = identify(body)
        except Nameless as nameless:
            self._unnamed(nameless.what, place.at(nameless.field).line, nameless.field)
            return
        for flaw in values.flaws:
            self.problems.append(Problem(subject=ref, field=flaw.path, what=flaw.what, file=self.file, line=flaw.line))
        if not values.flaws:
            raw = RawDocument(
                kind=ref.kind,
                api_version=api_version,
                namespace=ref.namespace,
                name=ref.name,
                body=body,
                file=self.file,
                place=place,
            )
            self.documents.append(raw)

    def _unnamed(self, what: str, line: int, field: str = "") -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(field=field, what=what, file=self.file, line=line))
        self.whole = False


def _items(node: yaml.MappingNode) -> yaml.Node | None:
    """What `items` of a list kind holds; None if the node is no list."""
    fields = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    kind = fields.get("kind")
    is_list = isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List")
    return fields.get("items") if is_list else None
