"""Converts YAML nodes to plain values, each with its line; what they mean is decided later.

Apart from `yaml`, which splits a text into objects, because this is where YAML's own traps are: keys given twice,
aliases that multiply, times that read as numbers. Costs grow with the text alone, aliases included.
"""

from typing import Any

import yaml
from msgspec import Struct

from osm.manifests.document import Place

MAX_DEPTH = 100
"""Levels of nesting; a custom resource definition, the deepest thing people write, has some thirty."""

MAX_ALIASED_VALUES = 10_000
"""How much aliases may stand for in one file; more is an alias bomb. A long text counts as several values."""

MAX_FLAWS = 20
"""How many flaws of one document are told; who has more mends these first."""

_CHARACTERS_A_VALUE = 64

_MERGE = "tag:yaml.org,2002:merge"
_AS_TEXT = frozenset(f"tag:yaml.org,2002:{tag}" for tag in ("str", "timestamp", "binary", "value"))
_CONVERTED = frozenset(f"tag:yaml.org,2002:{tag}" for tag in ("null", "bool", "int", "float"))
_SHOWN_CHARACTERS = 40
_SHOWN_PATH_CHARACTERS = 300


class Refused(Exception):
    """The text is not fit to be read further; the message says why, `line` where."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


class Flaw(Struct, frozen=True):
    """What the text of a document gets wrong, whatever the document is."""

    path: str
    what: str
    line: int


class _Path:
    """Where a value stands; spelled out only when somebody has to be told."""

    __slots__ = ("_above", "_step")

    def __init__(self, above: "_Path | None", step: str | int) -> None:
        self._above = above
        self._step = step if isinstance(step, int) else step[:_SHOWN_PATH_CHARACTERS]

    def __str__(self) -> str:
        above = str(self._above) if self._above is not None else ""
        if len(above) > _SHOWN_PATH_CHARACTERS:
            return above
        if isinstance(self._step, int):
            return f"{above}[{self._step}]"
        return f"{above}.{self._step}" if above else self._step


class Budget:
    """What one file may cost: counts the values that aliases stand for."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._aliased = 0

    def spend(self, node: yaml.Node, depth: int) -> None:
        """Raises Refused if the file stands for more than its text, or nests too deeply."""
        if depth > MAX_DEPTH:
            raise Refused(f"nested deeper than {MAX_DEPTH} levels", line_of(node))
        if id(node) in self._seen:
            long = len(node.value) // _CHARACTERS_A_VALUE if isinstance(node, yaml.ScalarNode) else 0
            self._aliased += 1 + long
            if self._aliased > MAX_ALIASED_VALUES:
                what = f"aliases stand for more than {MAX_ALIASED_VALUES} values; write them out"
                raise Refused(what, line_of(node))
        self._seen.add(id(node))


class Values:
    """Reads the nodes of one document; `flaws` is what was wrong with them."""

    def __init__(self, budget: Budget) -> None:
        self.flaws: list[Flaw] = []
        self._budget = budget
        self._scalars = yaml.constructor.SafeConstructor()

    def read(self, node: yaml.MappingNode) -> tuple[dict[str, Any], Place]:
        """The document's fields, and their places. Raises Refused."""
        return self._mapping(node, None, 0)

    def _value(self, node: yaml.Node, path: _Path, depth: int, line: int) -> tuple[Any, Place]:
        if isinstance(node, yaml.MappingNode):
            found, place = self._mapping(node, path, depth)
            return found, Place(line, place.inner)
        self._budget.spend(node, depth)
        if isinstance(node, yaml.SequenceNode):
            items = [
                self._value(item, _Path(path, index), depth + 1, line_of(item)) for index, item in enumerate(node.value)
            ]
            return [value for value, _ in items], Place(line, tuple(place for _, place in items))
        return self._scalar(node, path), Place(line)

    def _mapping(self, node: yaml.MappingNode, path: _Path | None, depth: int) -> tuple[dict[str, Any], Place]:
        self._budget.spend(node, depth)
        found: dict[str, Any] = {}
        places: dict[str, Place] = {}
        merged: tuple[dict[str, Any], dict[str, Place]] = ({}, {})
        for key, value in node.value:
            line = line_of(key)
            if key.tag == _MERGE:
                merged = self._merged(value, path, depth, line)
            elif not isinstance(key, yaml.ScalarNode):
                self._flaw(path, "a key is plain text, found a mapping or a sequence", line)
            elif key.value in found:
                what = (
                    f"the key `{key.value[:_SHOWN_CHARACTERS]}` is there twice, first at line {places[key.value].line}"
                )
                self._flaw(_Path(path, key.value), what, line)
            else:
                found[key.value], places[key.value] = self._value(value, _Path(path, key.value), depth + 1, line)
        return merged[0] | found, Place(line_of(node), merged[1] | places)

    def _merged(
        self, node: yaml.Node, path: _Path | None, depth: int, line: int
    ) -> tuple[dict[str, Any], dict[str, Place]]:
        """What `<<` brings: of one mapping, or of several, the first of which wins."""
        found: dict[str, Any] = {}
        places: dict[str, Place] = {}
        for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(part, yaml.MappingNode):
                self._flaw(path, "`<<` merges mappings only", line)
                continue
            more, place = self._mapping(part, path, depth + 1)
            found, places = more | found, dict(place.inner) | places  # type: ignore[arg-type]  # a mapping's place
        return found, places

    def _scalar(self, node: yaml.Node, path: _Path) -> Any:
        text = str(node.value)
        if node.tag in _CONVERTED and not (":" in text and text[-1:].isalnum()):
            convert = getattr(self._scalars, f"construct_yaml_{node.tag.rpartition(':')[2]}")
            try:
                return convert(node)
            except (ValueError, OverflowError, KeyError):
                self._flaw(path, f"cannot read `{text[:_SHOWN_CHARACTERS]}`", line_of(node))
        elif node.tag not in _AS_TEXT | _CONVERTED:
            self._flaw(path, f"the tag {node.tag} is not allowed", line_of(node))
        return text

    def _flaw(self, path: _Path | None, what: str, line: int) -> None:
        if len(self.flaws) < MAX_FLAWS:
            self.flaws.append(Flaw(str(path) if path is not None else "", what, line))


def line_of(placed: yaml.Node | yaml.Event) -> int:
    """From 1."""
    return placed.start_mark.line + 1 if placed.start_mark else 1
