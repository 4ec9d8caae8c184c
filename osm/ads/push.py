"""One response to send, and who numbers them.

A change is told to a thousand streams one after the other, and nearly all are told the same. So a push is a value that
streams share: it is made, numbered and encoded for the first, and the next are given the same one.
Separate from subscriptions, each of which knows its own stream only.
"""

import msgspec

from osm.ads.resource import Resource
from osm.ads.types import PUSH_ORDER
from osm.ads.wire import encode_delta, encode_sotw


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """`version` is set for state of the world only, `removed` for delta only.

    `revision` is the oldest change it carries. The nonce is `number` in words.
    """

    type_url: str
    nonce: str
    number: int
    resources: tuple[Resource, ...]
    removed: tuple[str, ...] = ()
    version: str | None = None
    revision: int

    def encode(self) -> bytes:
        """The response of the variant that it was made for."""
        if self.version is None:
            return encode_delta(self.type_url, self.nonce, self.resources, self.removed)
        return encode_sotw(self.type_url, self.nonce, self.version, self.resources)


class Issued:
    """The pushes of all streams of an engine. Numbers grow; a stream never gets one twice."""

    def __init__(self) -> None:
        self._number = 0
        self._last: dict[str, Push] = {}
        self._encoded: tuple[Push, bytes] | None = None

    def push(
        self,
        type_url: str,
        *,
        resources: tuple[Resource, ...],
        removed: tuple[str, ...] = (),
        version: str | None = None,
        revision: int,
        after: int,
    ) -> Push:
        """The last push of this type if it says just this and has a number above `after`, or a new one."""
        last = self._last.get(type_url)
        if (
            last is not None
            and last.number > after
            and last.revision == revision
            and last.resources == resources
            and last.removed == removed
            and last.version == version
        ):
            return last
        self._number += 1
        made = Push(
            type_url=type_url,
            nonce=str(self._number),
            number=self._number,
            resources=resources,
            removed=removed,
            version=version,
            revision=revision,
        )
        if type_url in PUSH_ORDER:  # all others a proxy may make up without end
            self._last[type_url] = made
        return made

    def encoded(self, push: Push) -> bytes:
        """Its response, encoded once for streams that are told it in a row."""
        if self._encoded is None or self._encoded[0] is not push:
            self._encoded = (push, push.encode())
        return self._encoded[1]
