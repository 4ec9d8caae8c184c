"""Converts one document to one typed struct, or says what is wrong and in which line.

Apart from the structs, which are each reader's own. msgspec finds the mistake; this module says it to a person:
which field, what was found, what is allowed. One mistake is told at a time, as msgspec stops at the first.
"""

import re
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import inspect

from osm.contracts.names import DnsLabel, DnsName
from osm.contracts.problem import Problem
from osm.manifests.document import RawDocument
from osm.manifests.wording import LABEL, NAME, nearest, shown

T = TypeVar("T", bound=msgspec.Struct)

_SAID = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|(\[\.\.\.\])")
_NAMED = re.compile(r"`([^`]*)`")

_TYPES = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


class Fields(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A mapping that a user writes. A cluster drops a field that it does not know; here it is most likely misspelt."""


def convert(raw: RawDocument, kind: type[T]) -> T | tuple[Problem, ...]:
    """The document's body as `kind`, or its problems. Strict: "5" is no number; unknown fields as `kind` says."""
    try:
        return msgspec.convert(raw.body, kind, strict=True)
    except msgspec.ValidationError as error:
        said = _SAID.match(str(error))
        path, what = (said["path"] or "", said["what"]) if said else ("", str(error))
    field, found, allowed = _follow(raw.body, inspect.type_info(kind), path)
    return (_problem(raw, field, what, found, allowed),)


def _problem(raw: RawDocument, field: str, what: str, found: object, allowed: inspect.Type | None) -> Problem:
    named = _NAMED.findall(what)
    if what.startswith("Object contains unknown field"):
        structs = [part for part in _parts(allowed) if isinstance(part, inspect.StructType)]
        names = [each.encode_name for struct in structs for each in struct.fields]
        inner = f"{field}.{named[0]}" if field else named[0]
        return raw.problem(inner, f"unknown field; {nearest(named[0], names)}")
    if what.startswith("Object missing required field"):
        inner = f"{field}.{named[0]}" if field else named[0]
        return raw.problem(inner, "this field is required and not there")
    return raw.problem(field, _sentence(what, named, found, allowed))


def _sentence(what: str, named: list[str], found: object, allowed: inspect.Type | None) -> str:
    parts = _parts(allowed)
    literals = [str(value) for part in parts if isinstance(part, inspect.LiteralType) for value in part.values]
    if literals:
        one_of = "one of " if len(literals) > 1 else ""
        return f"expected {one_of}{', '.join(literals)}, found {shown(found)}"
    if not what.startswith("Expected"):
        return f"{what[:1].lower()}{what[1:]}, found {shown(found)}"
    if ", got" in what:
        wanted = [name.strip() for name in named[0].split("|") if name.strip() != "null"]
        says = " or ".join(_TYPES.get(name, name) for name in wanted)
        return f"expected {says}, found {shown(found)}{_hint(wanted, found)}"
    described = _described(allowed)
    if described:
        return f"expected {described}, found {shown(found)}"
    limit = what.removeprefix("Expected ")
    for name in named:
        limit = limit.replace(f"`{name}`", _TYPES.get(name, name))
    return f"expected {limit}, found {shown(found)}"


def _hint(wanted: list[str], found: object) -> str:
    if wanted == ["str"] and isinstance(found, bool | int | float):
        return "; put it in quotes"
    text = found.lower() if isinstance(found, str) else ""
    is_number = {"int", "float"} & set(wanted) and text.removeprefix("-").isdecimal()
    is_bool = "bool" in wanted and text in ("true", "false", "yes", "no", "on", "off")
    return "; remove the quotes" if is_number or is_bool else ""


_DESCRIBED = {
    str(get_args(DnsLabel)[1].pattern): LABEL,
    str(get_args(DnsName)[1].pattern): NAME,
}
"""What to say for a pattern; other constrained types say it in their own `Meta(description=…)`."""


def _described(allowed: inspect.Type | None) -> str | None:
    kinds = list(allowed.types) if isinstance(allowed, inspect.UnionType) else [allowed]
    for kind in kinds:
        if isinstance(kind, inspect.Metadata) and kind.extra_json_schema:
            return str(kind.extra_json_schema.get("description", "")) or None
    patterns = [part.pattern for part in _parts(allowed) if isinstance(part, inspect.StrType)]
    return next((_DESCRIBED[pattern] for pattern in patterns if pattern in _DESCRIBED), None)


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
        else:  # some value of a mapping: msgspec does not say which
            odd = _first_odd(found, allowed)
            if odd is None:
                break
            field, found = f"{field}.{odd[0]}", odd[1]
    if not allowed:
        return field, found, None
    return field, found, allowed[0] if len(allowed) == 1 else inspect.UnionType(tuple(allowed))


def _first_odd(found: object, allowed: list[inspect.Type]) -> tuple[str, Any] | None:
    """The key and value of the first value that is not text, where text is what is allowed."""
    if not isinstance(found, dict) or not all(isinstance(each, inspect.StrType) for each in allowed):
        return None
    return next(((key, value) for key, value in found.items() if not isinstance(value, str)), None)


def _inner(kind: inspect.Type, name: str | None, index: str | None) -> list[inspect.Type]:
    if isinstance(kind, inspect.StructType) and name is not None:
        return [field.type for field in kind.fields if field.encode_name == name]
    if isinstance(kind, inspect.VarTupleType | inspect.ListType) and index is not None:
        return [kind.item_type]
    if isinstance(kind, inspect.DictType) and index is None:
        return [kind.value_type]
    return []
