"""What every policy object has, and how the structs of their bodies read: camelCase, unknown fields refused.

Apart from the kinds, because all of them share it. A cluster drops fields it does not know; here a field that is
not known is most likely misspelt, and a policy that is silently wider than meant is the worst outcome.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, get_args

from msgspec import Meta, Struct

from osm.contracts.names import DnsLabel, DnsName
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.convert import shown

T = TypeVar("T")


class Fields(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A mapping that a user writes."""


class Object(Fields, frozen=True, kw_only=True):
    """A whole document; `spec` is each kind's. What identifies it has been read already (RawDocument)."""

    api_version: str
    kind: str
    metadata: dict[str, Any]
    status: Any = None


def names(raw: RawDocument) -> Iterator[Problem]:
    """What is wrong with the object's own name and namespace."""
    if not fits(DnsName, raw.name):
        what = "expected a name of at most 253 lower-case letters, digits, `-` and `.`"
        yield raw.problem("metadata.name", f"{what}, found {shown(raw.name)}")
    if not fits(DnsLabel, raw.namespace):
        what = "expected a name of at most 63 lower-case letters, digits and `-`"
        yield raw.problem("metadata.namespace", f"{what}, found {shown(raw.namespace)}")


def fits(kind: Any, text: str) -> bool:
    """Whether a text satisfies a constrained string type such as DnsLabel."""
    meta: Meta = get_args(kind)[1]
    return len(text) <= (meta.max_length or len(text)) and re.search(meta.pattern or "", text) is not None


def ordered(values: Iterable[T]) -> tuple[T, ...]:
    """Without repetitions, in the user's order."""
    return tuple(dict.fromkeys(values))


def repeated(raw: RawDocument, found: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    """A problem for each (field, name) whose name was there before."""
    first: dict[str, str] = {}
    for field, name in found:
        if name in first:
            what = f'"{name}" is there twice, first as {first[name]} at line {raw.line_of(first[name])}'
            yield raw.problem(field, what)
        first.setdefault(name, field)
