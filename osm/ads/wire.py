"""Encodes and decodes xDS messages: bytes to requests, decisions to bytes.

Separate so that the state machines see neither protobuf nor the difference of the two request messages' shapes.
It judges nothing but whether bytes can be decoded.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from sys import intern

import msgspec
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from osm.ads.encoding import text_field
from osm.ads.resource import Resource

_DELTA = discovery_pb2.DeltaDiscoveryResponse
_SOTW = discovery_pb2.DiscoveryResponse


SHORT_BYTES = 256
"""An acknowledgement, and with it nothing new. A change is acknowledged in the same bytes by all who were sent the same
push, so the next thousand of them are looked up."""

REMEMBERED = 1024
"""Short requests, no more than 256 KB and what they say."""


LONGEST_DETAIL = 8192
"""Characters of a rejection's words that are read. Envoy cuts them at 4,096; they are searched for the name of
every resource that was sent, kept, logged and published."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a proxy said, in either variant.

    Delta uses `subscribe`, `unsubscribe` and `initial_versions`; state of the world uses `names` and `version`.
    `error` is None for everything but a NACK; a NACK without words has an empty `error`.
    """

    type_url: str
    node_id: str = ""
    nonce: str = ""
    error: str | None = None
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: dict[str, str] = {}
    names: tuple[str, ...] = ()
    version: str = ""


class UndecodableRequest(ValueError):
    """The bytes are not the protobuf message that the method takes."""


def decode_delta(data: bytes) -> Request:
    """Read a `DeltaDiscoveryRequest`; raises `UndecodableRequest`."""
    return _decode_short_delta(data) if len(data) <= SHORT_BYTES else _decode_delta(data)


def decode_sotw(data: bytes) -> Request:
    """Read a `DiscoveryRequest`; raises `UndecodableRequest`."""
    return _decode_short_sotw(data) if len(data) <= SHORT_BYTES else _decode_sotw(data)


def _decode_delta(data: bytes) -> Request:
    try:
        message = discovery_pb2.DeltaDiscoveryRequest.FromString(data)
    except DecodeError as error:
        raise UndecodableRequest(f"not a DeltaDiscoveryRequest: {error}") from error
    return Request(
        type_url=message.type_url,
        node_id=message.node.id if message.HasField("node") else "",
        nonce=message.response_nonce,
        error=message.error_detail.message[:LONGEST_DETAIL] if message.HasField("error_detail") else None,
        subscribe=_shared(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions={intern(name): intern(held) for name, held in message.initial_resource_versions.items()},
    )


def _decode_sotw(data: bytes) -> Request:
    try:
        message = discovery_pb2.DiscoveryRequest.FromString(data)
    except DecodeError as error:
        raise UndecodableRequest(f"not a DiscoveryRequest: {error}") from error
    return Request(
        type_url=message.type_url,
        node_id=message.node.id if message.HasField("node") else "",
        nonce=message.response_nonce,
        error=message.error_detail.message[:LONGEST_DETAIL] if message.HasField("error_detail") else None,
        names=_shared(message.resource_names),
        version=message.version_info,
    )


_decode_short_delta = lru_cache(maxsize=REMEMBERED)(_decode_delta)
_decode_short_sotw = lru_cache(maxsize=REMEMBERED)(_decode_sotw)


def _shared(names: Iterable[str]) -> tuple[str, ...]:
    """Kept for as long as the stream lasts, and much the same on every stream: one copy for all."""
    return tuple(map(intern, names))


def encode_delta(type_url: str, nonce: str, resources: Sequence[Resource], removed: Sequence[str]) -> bytes:
    """A `DeltaDiscoveryResponse`, joined from the shared pieces of its resources."""
    pieces: list[bytes] = []
    for resource in resources:
        pieces += (resource.delta_head, resource.body)
    pieces.append(_type_field(_DELTA.TYPE_URL_FIELD_NUMBER, type_url))
    pieces.append(text_field(_DELTA.NONCE_FIELD_NUMBER, nonce))
    pieces += (text_field(_DELTA.REMOVED_RESOURCES_FIELD_NUMBER, name) for name in removed)
    return b"".join(pieces)


def encode_sotw(type_url: str, nonce: str, version: str, resources: Sequence[Resource]) -> bytes:
    """A `DiscoveryResponse`, joined from the shared pieces of its resources."""
    pieces: list[bytes] = []
    for resource in resources:
        pieces += (resource.sotw_head, resource.body)
    pieces.append(text_field(_SOTW.VERSION_INFO_FIELD_NUMBER, version))
    pieces.append(_type_field(_SOTW.TYPE_URL_FIELD_NUMBER, type_url))
    pieces.append(text_field(_SOTW.NONCE_FIELD_NUMBER, nonce))
    return b"".join(pieces)


@lru_cache(maxsize=64)
def _type_field(number: int, type_url: str) -> bytes:
    return text_field(number, type_url)
