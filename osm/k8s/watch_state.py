"""The state of one list-and-watch: lists and watch events in, changes out. Pure.

Apart from `follow`, which moves bytes and waits: here stands that bookmarks tell nothing but the version, that a
second list tells only differences, that an object we cannot read is neither a change nor a deletion, and that a kind
is not believed to be missing for the first word of it.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Raw, Struct

from osm.k8s.decoding import decode
from osm.k8s.errors import Status

T = TypeVar("T")

Key = tuple[str, str]
"""Namespace (empty for kinds that have none) and name."""

ABSENT_TIMES: Final = 3
"""How often in a row a kind must be missing: a server that starts may deny a kind that it has not read yet."""


class Seen(Struct, Generic[T], frozen=True, kw_only=True):
    """What has changed: object by (namespace, name), None for one that is gone.

    `full` comes first and says that there are no others; what comes later are changes to it.
    """

    full: bool
    objects: Mapping[Key, T | None]


class Told(Struct, Generic[T], frozen=True, kw_only=True):
    """What follows from some input: something to tell, or nothing.

    `relist` says why the watch cannot go on and all has to be listed again; empty if it can.
    `unread` are objects that are not what they should be, each with why.
    """

    seen: Seen[T] | None = None
    relist: str = ""
    unread: tuple[tuple[Key, str], ...] = ()


class _Meta(Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class _Item(Struct, frozen=True):
    metadata: _Meta


class _Event(Struct, frozen=True):
    type: str
    object: Raw


class WatchState(Generic[T]):
    """The objects by their versions alone: whoever follows keeps the objects."""

    def __init__(self, kind: type[T]) -> None:
        self.version = ""
        """Where a watch goes on; empty if all has to be listed first."""
        self._kind = kind
        self._versions: dict[Key, str] = {}
        self._told = False
        self._absent = 0

    def listed(self, items: Iterable[Raw], version: str) -> Told[T]:
        """All objects there are: the full picture at first, afterwards what differs."""
        changed: dict[Key, T | None] = {}
        unread: list[tuple[Key, str]] = []
        there: set[Key] = set()
        for item in items:
            there.add(self._change(item, changed, unread))
        for key in self._versions.keys() - there:
            del self._versions[key]
            changed[key] = None
        self.version, self._absent = version, 0
        return self._tell(changed, unread, full=not self._told)

    def absent(self) -> Told[T]:
        """The server knows no such kind: there are no objects, once it has said so often enough."""
        self.version = ""
        self._absent += 1
        if self._absent < ABSENT_TIMES:
            return Told()
        gone: dict[Key, T | None] = dict.fromkeys(self._versions)
        self._versions.clear()
        return self._tell(gone, [], full=not self._told)

    def happened(self, lines: Iterable[bytes]) -> Told[T]:
        """Some events of a watch, in order; the newest of each object is told."""
        changed: dict[Key, T | None] = {}
        unread: list[tuple[Key, str]] = []
        relist = ""
        for line in lines:
            try:
                event = decode(line, _Event)
                relist = self._event(event, changed, unread)
            except msgspec.MsgspecError:  # not Kubernetes' words: something on the way speaks here
                relist = "Unread"
            if relist:
                self.version = ""
                break
        told = self._tell(changed, unread, full=False)
        return Told(seen=told.seen, relist=relist, unread=told.unread)

    def _event(self, event: _Event, changed: dict[Key, T | None], unread: list[tuple[Key, str]]) -> str:
        """Why the watch is over; empty if it is not."""
        if event.type == "ERROR":
            status = decode(event.object, Status)
            return status.reason or str(status.code)
        if event.type in ("ADDED", "MODIFIED"):
            self._change(event.object, changed, unread)
        meta = decode(event.object, _Item).metadata
        if event.type == "DELETED":
            key = (meta.namespace, meta.name)
            self._versions.pop(key, None)
            changed[key] = None
        self.version = meta.resource_version or self.version
        return ""

    def _change(self, item: Raw, changed: dict[Key, T | None], unread: list[tuple[Key, str]]) -> Key:
        meta = decode(item, _Item).metadata
        key = (meta.namespace, meta.name)
        if not meta.resource_version or self._versions.get(key) != meta.resource_version:
            self._versions[key] = meta.resource_version
            try:
                changed[key] = decode(item, self._kind)
            except msgspec.MsgspecError as error:
                unread.append((key, str(error)))
        return key

    def _tell(self, changed: Mapping[Key, T | None], unread: list[tuple[Key, str]], *, full: bool) -> Told[T]:
        if not changed and not full:
            return Told(unread=tuple(unread))
        self._told = True
        return Told(seen=Seen(full=full, objects=dict(sorted(changed.items()))), unread=tuple(unread))
