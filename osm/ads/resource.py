"""One named resource, encoded once and shared by every stream that needs it.

Protobuf concatenates repeated fields, so a response is the encoded pieces of its resources one after the other.
A piece is a small head (different in the two protocol variants) and the body, the packed resource, which both share.
This module knows the encoding of a resource inside a response, and nothing of streams.
"""

from collections.abc import Hashable
from hashlib import blake2b
from typing import Self

import msgspec
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.message import Message

from osm.ads.encoding import length_delimited_head

VERSION_BYTES = 8
"""Length of a version hash. It tells apart the versions of one name only, so 64 bits are plenty."""

_RESPONSE_RESOURCES = discovery_pb2.DeltaDiscoveryResponse.RESOURCES_FIELD_NUMBER
_RESOURCE_BODY = discovery_pb2.Resource.RESOURCE_FIELD_NUMBER


class Resource(msgspec.Struct, frozen=True, kw_only=True, weakref=True):
    """A resource as it goes to proxies.

    `companions` are (type URL, name) pairs that must be sent again whenever this one is: Envoy warms a changed
    EDS cluster only when its load assignment arrives once more, equal bytes included.
    `origins` is for the owner: what this was made from; it comes back when a proxy rejects the resource.
    """

    type_url: str
    name: str
    version: str
    delta_head: bytes
    sotw_head: bytes
    body: bytes
    companions: tuple[tuple[str, str], ...] = ()
    origins: tuple[Hashable, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        message: Message,
        *,
        version: str | None = None,
        companions: tuple[tuple[str, str], ...] = (),
        origins: tuple[Hashable, ...] = (),
    ) -> Self:
        """Encode `message`; its version is the hash of its bytes unless given (secrets differ on each replica)."""
        value = message.SerializeToString(deterministic=True)
        if version is None:
            version = blake2b(value, digest_size=VERSION_BYTES).hexdigest()
        type_url = f"type.googleapis.com/{message.DESCRIPTOR.full_name}"
        body = PackedAny(type_url=type_url, value=value).SerializeToString(deterministic=True)
        label = discovery_pb2.Resource(name=name, version=version).SerializeToString(deterministic=True)
        label += length_delimited_head(_RESOURCE_BODY, len(body))
        return cls(
            type_url=type_url,
            name=name,
            version=version,
            delta_head=length_delimited_head(_RESPONSE_RESOURCES, len(label) + len(body)) + label,
            sotw_head=length_delimited_head(_RESPONSE_RESOURCES, len(body)),
            body=body,
            companions=companions,
            origins=origins,
        )

    @property
    def size(self) -> int:
        """Bytes it takes in a delta response."""
        return len(self.delta_head) + len(self.body)
