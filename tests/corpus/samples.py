"""Samples of every document on the bus, made from the types themselves: one bare, and full ones.

Of a type with choices (unions, words) there are as many full samples as the longest choice has branches, so each
branch is in one. `python -m tests.corpus.samples` adds those that the corpus has not; it never changes or removes
one: what was released once is read for good. `index.txt` holds each file's hash, so that a change shows.
"""

import hashlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from osm.contracts.channels import RPCS, STATES
from osm.contracts.codec import encode

ROOT = Path(__file__).parent
RELEASE = "2.0"
"""The folder that samples of new shapes go to: the version that will bring them to users."""

INDEX = ROOT / "index.txt"


def samples() -> dict[str, bytes]:
    """Path below the release's folder → body, for every shape that today's types can write."""
    found: dict[str, bytes] = {}
    for state in STATES:
        key = state.key(*(part.replace("proxy-id", "id") for part in state.parts))
        found |= _named(f"{state.bucket}/{key}", state.payload)
    for rpc in RPCS:
        found |= _named(f"rpc/{rpc.owner}.{rpc.verb}.request", rpc.request)
        found |= _named(f"rpc/{rpc.owner}.{rpc.verb}.reply", rpc.reply)
    return dict(sorted(found.items()))


def _named(stem: str, kind: type[msgspec.Struct]) -> dict[str, bytes]:
    bodies = [_body(kind, None), *(_body(kind, turn) for turn in range(_choices(inspect.type_info(kind), frozenset())))]
    return {f"{stem}.{number}.json": body for number, body in enumerate(dict.fromkeys(bodies))}


def _body(kind: type[msgspec.Struct], turn: int | None) -> bytes:
    """`turn` None leaves out all that may be left out; a number takes that branch of every choice."""
    return encode(msgspec.convert(_value(inspect.type_info(kind), turn), kind))


def _value(kind: inspect.Type, turn: int | None) -> Any:  # noqa: PLR0911  # one line a kind of type
    match kind:
        case inspect.Metadata():
            return _value(kind.type, turn)
        case inspect.StructType():
            return _fields(kind, turn)
        case inspect.UnionType():
            return _value(_branch(kind, turn), turn)
        case inspect.LiteralType():
            return kind.values[(turn or 0) % len(kind.values)]
        case inspect.VarTupleType() | inspect.ListType():
            return [] if turn is None else [_value(kind.item_type, turn)]
        case inspect.TupleType():
            return [_value(item, turn) for item in kind.item_types]
        case inspect.DictType():
            return {} if turn is None else {_value(kind.key_type, turn): _value(kind.value_type, turn)}
        case inspect.BoolType():
            return turn is None or turn % 2 == 0
        case inspect.IntType() | inspect.FloatType():
            return _number(kind)
        case inspect.StrType():
            return "a"
        case inspect.BytesType():
            return ""
        case inspect.NoneType():
            return None
    raise TypeError(f"no sample of {kind}")


def _fields(kind: inspect.StructType, turn: int | None) -> dict[str, Any]:
    tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
    wanted = (field for field in kind.fields if field.required or turn is not None)
    return tag | {field.encode_name: _value(field.type, turn) for field in wanted}


def _branch(kind: inspect.UnionType, turn: int | None) -> inspect.Type:
    """Absence is what a bare sample shows, so a full one takes something."""
    some = [branch for branch in kind.types if not isinstance(branch, inspect.NoneType)]
    return some[(turn or 0) % len(some)]


def _number(kind: inspect.IntType | inspect.FloatType) -> float:
    least = kind.ge if kind.ge is not None else (kind.gt + 1 if kind.gt is not None else 1)
    return max(least, 1) if kind.le is None or kind.le >= 1 else least


def _choices(kind: inspect.Type, above: frozenset[type]) -> int:  # noqa: PLR0911  # as above
    """The longest choice anywhere in the type."""
    match kind:
        case inspect.Metadata():
            return _choices(kind.type, above)
        case inspect.StructType():
            inner = [] if kind.cls in above else [field.type for field in kind.fields]
            return max((_choices(each, above | {kind.cls}) for each in inner), default=1)
        case inspect.UnionType():
            return max(len(kind.types), *(_choices(each, above) for each in kind.types))
        case inspect.LiteralType():
            return len(kind.values)
        case inspect.VarTupleType() | inspect.ListType():
            return _choices(kind.item_type, above)
        case inspect.TupleType():
            return max((_choices(item, above) for item in kind.item_types), default=1)
        case inspect.DictType():
            return _choices(kind.value_type, above)
        case inspect.BoolType():
            return 2
    return 1


def files() -> list[Path]:
    """Every sample that was ever kept."""
    return sorted(ROOT.glob("*/*/*.json"))


def kept_bodies(path: str) -> set[bytes]:
    """What the corpus has of one channel, in all releases."""
    stem = path.rsplit(".", 2)[0]
    return {file.read_bytes() for file in ROOT.glob(f"*/{stem}.*.json")}


def missing() -> Mapping[str, bytes]:
    """Today's shapes that the corpus has not."""
    return {path: body for path, body in samples().items() if body not in kept_bodies(path)}


def index() -> str:
    """Each file and its hash, a line each."""
    return "".join(
        f"{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}  {file.relative_to(ROOT)}\n" for file in files()
    )


def add() -> int:
    """Keep what is missing; how many samples were added."""
    new = missing()
    for path, body in new.items():
        stem = (ROOT / RELEASE / path).with_suffix("").with_suffix("")
        number = 0
        while (file := stem.with_name(f"{stem.name}.{number}.json")).exists():
            number += 1
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    INDEX.write_text(index())
    return len(new)


if __name__ == "__main__":
    sys.stdout.write(f"{add()} samples added\n")
