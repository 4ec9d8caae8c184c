"""What every policy object has.

Apart from the kinds, because all of them share it. Their bodies are `Fields` too: a policy that is silently wider than
meant, because a field of it is misspelt, is the worst outcome.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.wording import shown

T = TypeVar("T")


class Object(Fields, frozen=True, kw_only=True):
    """A whole document; `spec` is each kind's. What identifies it has been read already (RawDocument)."""

    api_version: str
    kind: str
    metadata: dict[str, Any]
    status: Any = None


def ordered(values: Iterable[T]) -> tuple[T, ...]:
    """Without repetitions, in the user's order."""
    return tuple(dict.fromkeys(values))


def repeated(raw: RawDocument, found: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """A problem for each (field, name) whose name was there before."""
    first: dict[str, str] = {}
    for field, name in found:
        if name in first:
            what = f"{shown(name)} is there twice, first as {first[name]} at line {raw.line_of(first[name])}"
            yield raw.problem(field, what)
        first.setdefault(name, field)
