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

MAX_FILE_BYTES = 2 * 1024 * 1024
"""More than a cluster would store in one object; and whatever is made of one document still fits the bus (8 MiB)."""

MAX_DEPTH = 100
"""Levels of nesting; a custom resource definition, the deepest thing people write, has some thirty."""

MAX_ALIASED_VALUES = 10_000
"""How much aliases may stand for in one file; more is an alias bomb. A long text counts as several values."""

_CHARACTERS_A_VALUE = 64

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "tag:yaml.org,2002:merge"
_AS_TEXT = frozenset(f"tag:yaml.org,2002:{tag}" for tag in ("str", "timestamp", "binary", "value"))
_CONVERTED = frozenset(f"tag:yaml.org,2002:{tag}" for tag in ("null", "bool", "int", "float"))
_scalars = yaml.constructor.SafeConstructor()


class Reading(Struct, frozen=True, kw_only=True):
    """What a text holds. `whole` is False if something in it could not be told: an object may be missing."""

    documents: tuple[RawDocument, ...] = ()
    problems: tuple[Problem, ...] = ()
    whole: bool = True


class _Refused(Exception):
    """The text is not fit to be read further."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


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
    except _Refused as refused:
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
        raise _Refused(f"not YAML: {said}", min(mark.line + 1, last) if mark else 1) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        raise _Refused(f"not YAML: {error.reason} (character {error.character!r})", line) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise _Refused(f"not YAML: {error}", 1) from error


def _line(placed: yaml.Node | yaml.Event) -> int:
    return placed.start_mark.line + 1 if placed.start_mark else 1


def _refuse_depth(text: str) -> None:
    """Composing recurses in C, and deep nesting overruns its stack: the flat events tell the depth before."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _Refused(f"nested deeper than {MAX_DEPTH} levels", _line(event))
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Reader:
    """Reads the composed documents of one file; what it counts is for the file as a whole."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.documents: list[RawDocument] = []
        self.problems: list[Problem] = []
        self.whole = True
        self._seen: set[int] = set()
        self._aliased = 0

    def document(self, node: yaml.Node) -> None:
        line = _line(node)
        if isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~"):
            return  # a document of comments only
        if not isinstance(node, yaml.MappingNode):
            self._unnamed("a document is a mapping with apiVersion, kind and metadata", line)
            return
        items = _items(node)
        if items is None:
            fields = _Fields(self)
            self._object(fields.mapping(node, "", 0), fields, line)
        elif isinstance(items, yaml.SequenceNode):
            for item in items.value:
                self._item(item)
        elif items.tag != "tag:yaml.org,2002:null":
            self._unnamed("`items` of a list is a sequence of objects", line)

    def _item(self, node: yaml.Node) -> None:
        """A list holds objects, not lists: an alias could make it endless."""
        line = _line(node)
        if not isinstance(node, yaml.MappingNode) or _items(node) is not None:
            self._unnamed("`items` of a list is a sequence of objects", line)
            return
        fields = _Fields(self)
        self._object(fields.mapping(node, "", 0), fields, line)

    def _object(self, body: dict[str, Any], fields: "_Fields", line: int) -> None:
        try:
            api_version, ref = identify(body)
        except Nameless as nameless:
            known = next((at for at in (nameless.field, "metadata") if at in fields.lines), "")
            self._unnamed(nameless.what, fields.lines.get(known, line), nameless.field)
            return
        for path, what, at in fields.broken:
            self.problems.append(Problem(subject=ref, field=path, what=what, file=self.file, line=at))
        if not fields.broken:
            self.documents.append(
                RawDocument(
                    kind=ref.kind,
                    api_version=api_version,
                    namespace=ref.namespace,
                    name=ref.name,
                    body=body,
                    file=self.file,
                    line=line,
                    lines=fields.lines,
                )
            )

    def _unnamed(self, what: str, line: int, field: str = "") -> None:
        self.problems.append(Problem(field=field, what=what, file=self.file, line=line))
        self.whole = False

    def count(self, node: yaml.Node, depth: int) -> None:
        """Raises _Refused if the file stands for more than its text, or nests too deeply."""
        line = _line(node)
        if depth > MAX_DEPTH:
            raise _Refused(f"nested deeper than {MAX_DEPTH} levels", line)
        if id(node) in self._seen:
            self._aliased += 1 + len(node.value) // _CHARACTERS_A_VALUE if isinstance(node, yaml.ScalarNode) else 1
            if self._aliased > MAX_ALIASED_VALUES:
                raise _Refused(f"aliases stand for more than {MAX_ALIASED_VALUES} values; write them out", line)
        self._seen.add(id(node))


class _Fields:
    """The values of one document and the line of each, by path; `broken` is what the text itself gets wrong."""

    def __init__(self, reader: _Reader) -> None:
        self.lines: dict[str, int] = {}
        self.broken: list[tuple[str, str, int]] = []
        self._reader = reader

    def value(self, node: yaml.Node, path: str, depth: int) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, path, depth)
        self._reader.count(node, depth)
        if isinstance(node, yaml.SequenceNode):
            found = []
            for index, item in enumerate(node.value):
                item_path = f"{path}[{index}]"
                self.lines[item_path] = _line(item)
                found.append(self.value(item, item_path, depth + 1))
            return found
        return self._scalar(node, path)

    def mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        self._reader.count(node, depth)
        found: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, value in node.value:
            line = _line(key)
            if key.tag == _MERGE:
                merged = self._merge(value, path, depth, line) | merged
                continue
            if not isinstance(key, yaml.ScalarNode):
                self.broken.append((path, "a key is plain text, found a mapping or a sequence", line))
                continue
            name = str(key.value)
            field = f"{path}.{name}" if path else name
            if name in found:
                what = f"the key `{name}` is there twice, first at line {self.lines[field]}"
                self.broken.append((field, what, line))
                continue
            self.lines[field] = line
            found[name] = self.value(value, field, depth + 1)
        return merged | found

    def _merge(self, node: yaml.Node, path: str, depth: int, line: int) -> dict[str, Any]:
        """What `<<` brings: of one mapping, or of several, the first of which wins."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                self.broken.append((path, "`<<` merges mappings only", line))
                continue
            found = self.mapping(part, path, depth + 1) | found
        return found

    def _scalar(self, node: yaml.Node, path: str) -> Any:
        text = str(node.value)
        if node.tag in _CONVERTED and not (":" in text and text[-1:].isalnum()):
            try:
                return _scalars.construct_object(node)
            except (ValueError, OverflowError, KeyError, yaml.YAMLError):
                self.broken.append((path, f"cannot read `{text[:40]}`", _line(node)))
                return None
        if node.tag not in _AS_TEXT | _CONVERTED:
            self.broken.append((path, f"the tag {node.tag} is not allowed", _line(node)))
        return text


def _items(node: yaml.MappingNode) -> yaml.Node | None:
    """What `items` of a list kind holds; None if the node is no list."""
    fields = {key.value: value for key, value in node.value if isinstance(key, yaml.ScalarNode)}
    kind = fields.get("kind")
    is_list = isinstance(kind, yaml.ScalarNode) and kind.value.endswith("List")
    return fields.get("items") if is_list else None
