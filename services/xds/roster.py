"""Who is connected: the streams, and which of them are of one proxy.

Pure. Separate from the fleet, which decides what they get: this only knows that they are there.
"""

from collections.abc import Collection, Iterable, Iterator

from osm.contracts.names import Identity
from services.xds.member import Member


class Roster:
    """Members by the id of their stream."""

    def __init__(self) -> None:
        self._members: dict[int, Member] = {}
        self._streams: dict[str, set[int]] = {}

    def __len__(self) -> int:
        """Streams, held ones included."""
        return len(self._members)

    def __iter__(self) -> Iterator[tuple[int, Member]]:
        """In the order in which they came."""
        return iter(self._members.items())

    def __getitem__(self, stream_id: int) -> Member:
        """Raises KeyError if the stream is not connected."""
        return self._members[stream_id]

    def add(self, stream_id: int, member: Member) -> None:
        self._members[stream_id] = member
        self._streams.setdefault(member.proxy.id, set()).add(stream_id)

    def remove(self, stream_id: int) -> Member:
        """Raises KeyError if the stream is not connected."""
        member = self._members.pop(stream_id)
        streams = self._streams[member.proxy.id]
        streams.discard(stream_id)
        if not streams:
            del self._streams[member.proxy.id]
        return member

    @property
    def size(self) -> int:
        """Proxies, each counted once."""
        return len(self._streams)

    def proxies(self) -> Iterable[tuple[str, Member]]:
        """Each proxy's id and its newest stream."""
        return ((proxy_id, self._members[max(streams)]) for proxy_id, streams in self._streams.items())

    def streams_of(self, proxy_id: str) -> Collection[int]:
        """It has one, but for those of connections that broke and are not noticed yet."""
        return self._streams.get(proxy_id, ())

    def newest(self, proxy_id: str) -> Member | None:
        """The proxy's newest stream; None if it is not connected."""
        streams = self._streams.get(proxy_id)
        return self._members[max(streams)] if streams else None

    def names(self, stream_ids: Collection[int]) -> tuple[str, ...]:
        """The proxies of those streams that are still there, in the same order."""
        return tuple(self._members[each].proxy.id for each in stream_ids if each in self._members)

    def identities(self) -> set[Identity]:
        """Of all connected proxies."""
        return {member.proxy.identity for member in self._members.values()}
