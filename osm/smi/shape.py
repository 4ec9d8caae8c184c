"""What every policy object has, and how the structs of their bodies read: camelCase, unknown fields refused.

Apart from the kinds, because all of them share it. A cluster drops fields it does not know; here a field that is
not known is most likely misspelt, and a policy that is silently wider than meant is the worst outcome.
"""

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from msgspec import Struct

from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.wording import shown

T = TypeVar("T")


class Fields(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A mapping that a user writes."""


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
