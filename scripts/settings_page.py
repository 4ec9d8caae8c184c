"""docs/settings.md: every variable that can be set, from the settings structs of the services.

What a field means is its docstring; which values it takes and its default are its type's. A field that says nothing
is refused: a setting nobody can explain is one nobody should have to set.
"""

import ast
import importlib
import inspect
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import msgspec
from msgspec import inspect as types

import services
from osm.bus import nats_settings
from osm.runtime import settings as runtime_settings
from osm.runtime.settings import PREFIX, Common, service_prefix

UNITS = {"_per_s": "per second", "_s": "seconds", "_bytes": "bytes"}
"""How a field's name ends, and the unit it so declares; the first that fits counts."""

INTRODUCTION = """\
# Settings

Made by `make docs` from the settings structs in the code; do not edit.

Every service reads its settings once, at start, from environment variables. A wrong value ends the process with
status 2 and a sentence that names the variable, what was found and what is allowed; a misspelt variable is a warning.
`osm up` and `osm demo` run all services in one process and set what they need themselves; there these variables are
not read, but for those of certmgr that say [who issues certificates](certificates.md).

What concerns the mesh and not a process, such as permissive mode or the life of certificates between workloads,
is in the MeshConfig: see [policies](policies.md#mesh-wide-settings).
"""


def render() -> str:
    own = {name: module for name in service_names() if (module := _settings_of(name)) is not None}
    without = [name for name in service_names() if name not in own]
    sections = [INTRODUCTION, _common(), *(_service(name, module) for name, module in own.items())]
    if without:
        sections.append(f"## Without settings of their own\n\n{', '.join(without)}: the ones of every service.\n")
    sections.append(_nats())
    return "\n".join(sections)


def service_names() -> list[str]:
    """Every service that can be started, sorted."""
    return sorted({main.parent.name for folder in services.__path__ for main in Path(folder).glob("*/__main__.py")})


def field_docstrings(module: ModuleType, struct: str) -> Mapping[str, str]:
    """Field → the text below it, on one line, for the struct's own fields."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == struct)
    said = {}
    for field, below in pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                said[name] = " ".join(text.split())
            case _:
                continue
    return said


def _settings_of(service: str) -> ModuleType | None:
    if not any((Path(folder) / service / "settings.py").is_file() for folder in services.__path__):
        return None
    return importlib.import_module(f"services.{service}.settings")


def _common() -> str:
    intro = (
        "Each is read from `OSM_<FIELD>`, or from `OSM_<SERVICE>_<FIELD>` where one service must differ "
        "(`OSM_XDS_LOG_LEVEL=debug`).\n"
    )
    return f"## Every service\n\n{intro}\n{table(PREFIX, Common, runtime_settings)}"


def _service(name: str, module: ModuleType) -> str:
    return f"## {name}\n\n{table(service_prefix(name), module.Settings, module)}"


def _nats() -> str:
    intro = "How to reach NATS, for every service whose bus is `nats://…` or `tls://…`.\n"
    return f"## NATS\n\n{intro}\n{table(PREFIX + 'NATS_', nats_settings.NatsSettings, nats_settings)}"


def table(prefix: str, struct: type[msgspec.Struct], module: ModuleType) -> str:
    lines = ["| variable | value | default | what it does, and why |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in _rows(prefix, struct, module)]
    return "\n".join(lines) + "\n"


def _rows(prefix: str, struct: type[msgspec.Struct], module: ModuleType) -> Iterator[tuple[str, ...]]:
    """One for each field of the struct's own. Raises ValueError for a field without a docstring."""
    said = field_docstrings(module, struct.__name__)
    kind = types.type_info(struct)
    assert isinstance(kind, types.StructType)
    for field in kind.fields:
        if field.name in said:
            value = ", ".join(part for part in (_values(field.type), _unit(field.name)) if part)
            yield f"`{prefix}{field.name.upper()}`", value, _default(field.default), _cell(said[field.name])
        elif field.name in struct.__annotations__:
            raise ValueError(f"{module.__name__}: field {field.name} of {struct.__name__} has no docstring")


def _values(kind: types.Type) -> str:
    match kind:
        case types.UnionType(types=parts):
            return " or ".join(_values(part) for part in parts if not isinstance(part, types.NoneType))
        case types.Metadata(type=inner):
            return _values(inner)
        case types.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case types.BoolType():
            return "`true` or `false`"
        case types.IntType() | types.FloatType():
            number = "whole number" if isinstance(kind, types.IntType) else "number"
            return " ".join(part for part in (number, _range(kind)) if part)
    return "text"


def _range(kind: types.IntType | types.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f"from {kind.ge:g} to {kind.le:g}"
    return f"from {kind.ge:g} up" if kind.ge is not None else f"up to {kind.le:g}" if kind.le is not None else ""


def _unit(field: str) -> str:
    return next((unit for ending, unit in UNITS.items() if field.endswith(ending)), "")


def _default(value: object) -> str:
    match value:
        case None:
            return "not set"
        case "":
            return "empty"
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"`{value:g}`"
        case _:
            return f"`{value}`"


def _cell(text: str) -> str:
    """The text as Markdown takes it in a table: outside of code, `<` would begin HTML."""
    parts = text.replace("|", "\\|").split("`")
    return "`".join(part if index % 2 else part.replace("<", "&lt;") for index, part in enumerate(parts))
