"""One document → one typed struct, or a sentence for what is wrong and the line it stands in.

Apart from the structs, which are each reader's own. msgspec finds the mistake; this module says it to a person:
which field, what was found, what is allowed. One mistake is told at a time, as msgspec stops at the first.
"""

import difflib
import re
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from osm.contracts.names import DnsLabel, DnsName
from osm.contracts.problem import Problem
from osm.manifests.document import RawDocument

T = TypeVar("T", bound=msgspec.Struct)

_SAID = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\])")
_NAMED = re.compile(r"`([^`]*)`")
_QUOTED_MAX_CHARACTERS = 60

_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


def convert(raw: RawDocument, kind: type[T]) -> T | tuple[Problem, ...]:
    """The document's body as `kind`, or its problems. Strict: "5" is no number; unknown fields as `kind` says."""
    try:
        return msgspec.convert(raw.body, kind, strict=True)
    except msgspec.ValidationError as error:
        said = _SAID.match(str(error))
        path, what = (said["path"] or "", said["what"]) if said else ("", str(error))
    field, found, allowed = _follow(raw.body, inspect.type_info(kind), path)
    return (_problem(raw, field, what, found, allowed),)


def shown(value: object) -> str:
    """A user's value as an error sentence quotes it."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    text = text if len(text) <= _QUOTED_MAX_CHARACTERS else text[:_QUOTED_MAX_CHARACTERS] + "…"
    return f'"{text}"' if isinstance(value, str) else text


def nearest(found: str, allowed: list[str]) -> str:
    """What may stand instead of `found`, as the end of a sentence."""
    close = difflib.get_close_matches(found, allowed, n=1)
    hint = f" (did you mean `{close[0]}`?)" if close else ""
    return f"allowed are {', '.join(sorted(allowed))}{hint}" if allowed else "nothing is allowed here"


def _problem(raw: RawDocument, field: str, what: str, found: object, allowed: inspect.Type | None) -> Problem:
    named = _NAMED.findall(what)
    if what.startswith("Object contains unknown field"):
        names = [each.encode_name for each in allowed.fields] if isinstance(allowed, inspect.StructType) else []
        inner = f"{field}.{named[0]}" if field else named[0]
        return raw.problem(inner, f"unknown field; {nearest(named[0], names)}")
    if what.startswith("Object missing required field"):
        inner = f"{field}.{named[0]}" if field else named[0]
        return raw.problem(inner, "this field is required and not there")
    return raw.problem(field, _sentence(what, named, found, allowed))


def _sentence(what: str, named: list[str], found: object, allowed: inspect.Type | None) -> str:
    literals = [value for part in _parts(allowed) if isinstance(part, inspect.LiteralType) for value in part.values]
    if literals:
        return f"expected one of {', '.join(str(value) for value in literals)}, found {shown(found)}"
    if "regex" in what or "length <=" in what:
        return f"expected {_pattern(allowed, what)}, found {shown(found)}"
    if what.startswith("Expected") and len(named) == 2 and ", got" in what:
        wanted = " or ".join(_TYPES.get(part.strip(), part.strip()) for part in named[0].split("|"))
        hint = "; remove the quotes" if isinstance(found, str) and named[0] in ("int", "float", "bool") else ""
        hint = "; put it in quotes" if named[0] == "str" and isinstance(found, bool | int | float) else hint
        return f"expected {wanted}, found {shown(found)}{hint}"
    if what.startswith("Expected"):
        limit = what.removeprefix("Expected ")
        for name in named:
            limit = limit.replace(f"`{name}`", _TYPES.get(name, name))
        return f"expected {limit}, found {shown(found)}"
    return f"{what[:1].lower()}{what[1:]}, found {shown(found)}"


def _pattern(allowed: inspect.Type | None, what: str) -> str:
    patterns = [part.pattern for part in _parts(allowed) if isinstance(part, inspect.StrType)]
    for named, says in (
        (DnsLabel, "a name of at most 63 lower-case letters, digits and `-`"),
        (DnsName, "a name of at most 253 lower-case letters, digits, `-` and `.`"),
    ):
        if inspect.type_info(named).pattern in patterns:  # type: ignore[attr-defined]  # both are constrained str
            return says
    return what.removeprefix("Expected ").replace("`str`", "text")


def _parts(kind: inspect.Type | None) -> list[inspect.Type]:
    if isinstance(kind, inspect.UnionType):
        return [part for each in kind.types for part in _parts(each)]
    if isinstance(kind, inspect.Metadata):
        return _parts(kind.type)
    return [kind] if kind is not None else []


def _follow(body: object, kind: inspect.Type, path: str) -> tuple[str, Any, inspect.Type | None]:
    """The field as users write its path, the value found there, and the type it should have had."""
    field, found, allowed = "", body, [kind]
    for step in _STEP.finditer(path):
        name, index, _ = step.groups()
        allowed = [inner for each in allowed for part in _parts(each) for inner in _inner(part, name, index)]
        if name is not None:
            field = f"{field}.{name}" if field else name
            found = found.get(name) if isinstance(found, dict) else None
        elif index is not None:
            field = f"{field}[{index}]"
            found = found[int(index)] if isinstance(found, list) and int(index) < len(found) else None
        else:
            break  # some value of a mapping: msgspec does not say which
    if not allowed:
        return field, found, None
    return field, found, allowed[0] if len(allowed) == 1 else inspect.UnionType(tuple(allowed))


def _inner(kind: inspect.Type, name: str | None, index: str | None) -> list[inspect.Type]:
    if isinstance(kind, inspect.StructType) and name is not None:
        return [field.type for field in kind.fields if field.encode_name == name]
    if isinstance(kind, inspect.VarTupleType | inspect.ListType) and index is not None:
        return [kind.item_type]
    if isinstance(kind, inspect.DictType) and index is None:
        return [kind.value_type]
    return []
