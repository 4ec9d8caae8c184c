"""How contracts become bytes: JSON, fields in order, defaults left out.

Leaving defaults out keeps the bytes of old documents when a field with a default is added,
so versions and comparisons do not move. Decoding ignores unknown fields: newer writers may say more.
"""

from functools import cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class Undecodable(ValueError):
    """Bytes that are not a document of the expected type; the message says where and why."""


@cache
def _decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


_encoder = msgspec.json.Encoder(order="deterministic")


def encode(document: msgspec.Struct) -> bytes:
    return _encoder.encode(document)


def decode(kind: type[T], body: bytes) -> T:
    """Raises Undecodable."""
    try:
        document: T = _decoder(kind).decode(body)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise Undecodable(f"not a {kind.__name__}: {error}") from error
    return document
