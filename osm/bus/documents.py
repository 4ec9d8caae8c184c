"""Documents to bytes and back, and what a write really has to change: the pure half of every adapter.

It refuses to know where the bytes lie.
"""

from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

from osm.bus import BusError, Document, TooLarge
from osm.contracts.channels import BUCKETS, State, kind_of
from osm.contracts.codec import Undecodable, decode, encode

MAX_BYTES = 8 * 1024 * 1024
"""A document's largest size. NATS's `max_payload` is set to as much: more stalls a server's other clients."""


def read(*, bucket: str, key: str, body: bytes, revision: int, writer: str, trace: str) -> Document:
    """The document in these bytes; `value` None, with `why`, if today's types cannot decode them."""
    kind = kind_of(bucket, key)
    value: Struct | None = None
    why = ""
    if kind is None:
        why = "no kind of document that this version knows"
    else:
        try:
            value = decode(kind.payload, body)
        except Undecodable as error:
            why = str(error)
    return Document(
        bucket=bucket, key=key, value=value, revision=revision, writer=writer, why=why, trace=trace, body=body
    )


def deletion(*, bucket: str, key: str, revision: int, writer: str = "", trace: str = "") -> Document:
    return Document(bucket=bucket, key=key, value=None, revision=revision, writer=writer, trace=trace, deleted=True)


def encode_all(
    bucket: str, documents: Mapping[str, Struct], *, entities: Collection[str] = (), limit: int = MAX_BYTES
) -> dict[str, bytes]:
    """The bodies to put, in the mapping's order. Raises TooLarge, or BusError for a key that is not the writer's."""
    bodies = {}
    for key, document in documents.items():
        kind = require_kind(bucket, key, entities)
        if not isinstance(document, kind.payload):
            raise BusError(f"{bucket} {key}: expected a {kind.payload.__name__}, found a {type(document).__name__}")
        bodies[key] = encode_one(f"{bucket} {key}: the document", document, limit)
    return bodies


def encode_one(what: str, document: Struct, limit: int = MAX_BYTES) -> bytes:
    """Raises TooLarge; `what` begins its sentence."""
    body = encode(document)
    if len(body) > limit:
        raise TooLarge(f"{what} has {len(body)} bytes, allowed are {limit}")
    return body


def require_kind(bucket: str, key: str, entities: Collection[str]) -> State[Struct]:
    """The kind of a key that a writer of these entities may change (all if empty). Raises BusError."""
    kind = kind_of(bucket, key)
    if kind is None:
        known = ", ".join(state.entity for state in BUCKETS.get(bucket, ()))
        raise BusError(f"{bucket} {key}: no such kind of key, allowed are {known}")
    if entities and kind.entity not in entities:
        raise BusError(f"{bucket} {key}: this writer holds {', '.join(sorted(entities))} only")
    return kind


def kinds(bucket: str, states: Collection[State[Any]]) -> frozenset[str]:
    """Which kinds of keys of a bucket these states limit a reader to; empty, which means all, if none is of it."""
    return frozenset(state.entity for state in states if state.bucket == bucket)


def entity(key: str) -> str:
    return key.partition(".")[0]


class Change(Struct, frozen=True, kw_only=True):
    """What differs from what the bucket holds: bodies to put, keys to delete, both in order."""

    puts: dict[str, bytes]
    deletes: tuple[str, ...]


def change(held: Mapping[str, bytes], puts: Mapping[str, bytes], deletes: Collection[str]) -> Change:
    """Equal values and absent keys are left out. A key both put and deleted ends deleted."""
    gone = [key for key in deletes if key in held or key in puts]
    return Change(
        puts={key: body for key, body in puts.items() if held.get(key) != body},
        deletes=tuple(gone),
    )


def whole(held: Mapping[str, bytes], puts: Mapping[str, bytes], keep: Collection[str]) -> Change:
    """What makes `held` into exactly `puts` and, of what is held, `keep`."""
    return change(held, puts, sorted(held.keys() - puts.keys() - set(keep)))
