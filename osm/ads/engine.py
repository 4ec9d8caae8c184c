"""The protocol engine: all streams and resources; which streams a change touches, and how far proxies have come.

Proxies are in groups; a group's proxies are offered the same resources. The owner gives each change a revision, an
integer that grows; the engine says up to which revision every connected proxy has answered.
The engine is synchronous: a change marks names and wakes streams, and is cheap; pushes are drafted when a stream's
writer asks for them. It does no I/O and holds no clock.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TypeAlias

import msgspec

from osm.ads.delta import DeltaSubscription
from osm.ads.push import Issued, Push
from osm.ads.resource import Resource
from osm.ads.sotw import SotwSubscription
from osm.ads.stream import Stream
from osm.ads.subscription import Acked, Answer
from osm.ads.tally import Tally
from osm.ads.wire import Request

Group: TypeAlias = Hashable
Resources: TypeAlias = Mapping[str, Mapping[str, Resource]]
"""Type URL → name → resource."""

Variant: TypeAlias = type[DeltaSubscription | SotwSubscription]


class UnknownGroup(LookupError):
    """A resource was changed in a group that has never been given as a whole, and so is not known to be complete."""


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that has not answered everything: since which revision, and which types it owes an answer for."""

    stream_id: int
    revision: int
    in_flight: tuple[str, ...]


class Session:
    """A connected stream: its protocol state, its group, and how to wake its writer."""

    def __init__(self, stream_id: int, stream: Stream, wake: Callable[[], None]) -> None:
        self.id = stream_id
        self.group: Group | None = None
        self.stream = stream
        self.wake = wake


class Engine:
    """Resources by group, sessions by group, and the count of what is unanswered; `tally` counts what has passed."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._groups: dict[Group, dict[str, dict[str, Resource]]] = {}
        self._sessions: dict[int, Session] = {}
        self._members: dict[Group, dict[int, Session]] = {}
        self._issued = Issued()
        self._opened = 0
        self._latest_revision = 0
        self._complete_revision = 0
        self._owed: dict[int, int] = {}  # stream id → its oldest unanswered revision
        self._streams_owing: Counter[int] = Counter()  # that revision → how many streams
        self._held_back: dict[Hashable, int] = {}  # what is kept from some streams → since which revision

    # What the owner does with resources

    def replace(self, group: Group, resources: Resources, *, revision: int, since: int | None = None) -> None:
        """Make `resources` all that `group` has; names and types left out are removed. Equal versions cost nothing.

        `since`: the revision as of which they are owed, if that is an earlier one (they were held back).
        """
        self._note_revision(revision)
        since = revision if since is None else since
        is_new = group not in self._groups
        current = self._groups.setdefault(group, {})
        for type_url in sorted(current.keys() | resources.keys()):
            wanted = resources.get(type_url, {})
            changed = _changed_names(current.get(type_url, {}), wanted)
            current[type_url] = dict(wanted)
            if changed and not is_new:
                self._touch(group, type_url, changed, since)
        if is_new:
            self._release_waiting(group, since)

    def put(self, group: Group, resource: Resource, *, revision: int) -> None:
        """Set one resource; raises `UnknownGroup` before the group's first `replace`."""
        self._note_revision(revision)
        of_type = self._known(group).setdefault(resource.type_url, {})
        before = of_type.get(resource.name)
        of_type[resource.name] = resource
        if before is None or before.version != resource.version:
            self._touch(group, resource.type_url, (resource.name,), revision)

    def remove(self, group: Group, type_url: str, name: str, *, revision: int) -> None:
        """Remove one resource, if it is there; raises `UnknownGroup` before the group's first `replace`."""
        self._note_revision(revision)
        if self._known(group).get(type_url, {}).pop(name, None) is not None:
            self._touch(group, type_url, (name,), revision)

    def drop(self, group: Group) -> None:
        """Forget a group. Proxies still in it keep what they have and are held until it is given again."""
        self._groups.pop(group, None)
        for session in self._members.get(group, {}).values():
            session.stream.move(None, self._latest_revision)
            self._note_progress(session)

    def advance(self, revision: int) -> None:
        """Say that every change up to `revision` has been given; only then can it count as acknowledged."""
        self._note_revision(revision)
        self._complete_revision = max(self._complete_revision, revision)

    def hold_back(self, what: Hashable, since: int | None) -> None:
        """Something given with revision `since` is kept from some streams for now: it does not count as acknowledged.

        None ends that; what the streams are given then is owed `since` the same revision.
        """
        if since is None:
            self._held_back.pop(what, None)
        else:
            self._held_back[what] = since

    def resources(self, group: Group) -> Resources:
        """What a group has now; empty when it was never given."""
        return self._groups.get(group, {})

    def groups(self) -> tuple[Group, ...]:
        return tuple(self._groups)

    # What the owner does with streams

    def move(self, stream_id: int, group: Group | None) -> None:
        """Put a stream into another group, or into none: it is then held, and sent nothing.

        A group never given yet holds its streams as well. Without effect when the stream has ended meanwhile.
        """
        session = self._sessions.get(stream_id)
        if session is None or session.group == group:
            return
        self._leave(session)
        session.group = group
        if group is not None:
            self._members.setdefault(group, {})[stream_id] = session
        session.stream.move(self._groups.get(group), self._latest_revision)
        self._note_progress(session)
        session.wake()

    def members(self, group: Group) -> tuple[int, ...]:
        """Ids of the streams in a group, in the order in which they joined."""
        return tuple(self._members.get(group, ()))

    # What the owner asks

    def acked_revision(self) -> int:
        """The greatest revision up to which every connected proxy has accepted or rejected all it was to receive.

        It may go back when a proxy connects: the newcomer has nothing yet.
        """
        oldest_owed = min((*self._streams_owing, *self._held_back.values()), default=None)
        if oldest_owed is None:
            return self._complete_revision
        return min(self._complete_revision, oldest_owed - 1)

    def behind(self, most: int | None = None) -> tuple[Behind, ...]:
        """The streams that hold `acked_revision` back, oldest first, no more than `most`."""
        owed = sorted((revision, stream_id) for stream_id, revision in self._owed.items())
        return tuple(
            Behind(stream_id=stream_id, revision=revision, in_flight=self._sessions[stream_id].stream.in_flight)
            for revision, stream_id in owed[:most]
        )

    def owing(self) -> Mapping[int, int]:
        """The streams that have not answered everything → the oldest revision they owe an answer for; a live view."""
        return self._owed

    def is_behind(self, stream_id: int) -> bool:
        """Whether this stream has not answered everything."""
        return stream_id in self._owed

    def held(self, stream_id: int, type_url: str) -> Mapping[str, str]:
        """The versions that a stream has accepted, or said it had when it came, by name."""
        session = self._sessions.get(stream_id)
        return {} if session is None else session.stream.held(type_url)

    # What the server does

    def open(self, variant: Variant, wake: Callable[[], None]) -> Session:
        """A stream begins, in no group. `wake` is called whenever `next_response` may have something new."""
        self._opened += 1
        session = Session(self._opened, Stream(variant, self._issued), wake)
        self._sessions[session.id] = session
        return session

    def close(self, session: Session) -> None:
        """A stream ends; what it had not answered is owed no longer."""
        self._leave(session)
        self._sessions.pop(session.id, None)
        self._set_owed(session.id, None)

    def receive(self, session: Session, request: Request) -> Answer | None:
        """Take a request; raises `osm.ads.stream.LimitExceeded`."""
        answer = session.stream.receive(request, self._latest_revision)
        if answer is not None:
            passed = self.tally.by_type[request.type_url]
            if isinstance(answer, Acked):
                passed.acknowledged += 1
            else:
                passed.rejected += 1
        self._note_progress(session)
        if session.stream.has_work:
            session.wake()
        return answer

    def next_response(self, session: Session, now: float) -> bytes | None:
        """The next encoded response for a stream, which counts as sent, or None. `now`: monotonic seconds."""
        push = self.next_push(session, now)
        if push is None:
            return None
        response = self._issued.encoded(push)
        passed = self.tally.by_type[push.type_url]
        passed.pushed += 1
        passed.pushed_bytes += len(response)
        return response

    def next_push(self, session: Session, now: float) -> Push | None:
        """The same, not encoded. What is sent is owed as before; only finding nothing to send can settle a change."""
        push = session.stream.next_push(now)
        if push is None:
            self._note_progress(session)
        return push

    # Inside

    def _known(self, group: Group) -> dict[str, dict[str, Resource]]:
        try:
            return self._groups[group]
        except KeyError:
            raise UnknownGroup(f"group {group!r} has no resources yet: give them all with replace first") from None

    def _touch(self, group: Group, type_url: str, names: Iterable[str], revision: int) -> None:
        for session in self._members.get(group, {}).values():
            if session.stream.touch(type_url, names, revision):
                owed = self._owed.get(session.id)
                if owed is None or revision < owed:  # older: it was held back
                    self._set_owed(session.id, revision)
                session.wake()

    def _release_waiting(self, group: Group, revision: int) -> None:
        for session in self._members.get(group, {}).values():
            session.stream.move(self._groups[group], revision)
            self._note_progress(session)
            session.wake()

    def _leave(self, session: Session) -> None:
        members = self._members.get(session.group)
        if members is not None:
            members.pop(session.id, None)
            if not members:
                del self._members[session.group]

    def _note_revision(self, revision: int) -> None:
        if revision < self._latest_revision:
            raise ValueError(f"revision {revision} is older than {self._latest_revision}, which was given before")
        self._latest_revision = revision

    def _note_progress(self, session: Session) -> None:
        self._set_owed(session.id, session.stream.oldest_revision)

    def _set_owed(self, stream_id: int, revision: int | None) -> None:
        before = self._owed.get(stream_id)
        if before == revision:
            return
        if before is not None:
            del self._owed[stream_id]
            self._streams_owing[before] -= 1
            if not self._streams_owing[before]:
                del self._streams_owing[before]
        if revision is not None:
            self._owed[stream_id] = revision
            self._streams_owing[revision] += 1


def _changed_names(before: Mapping[str, Resource], after: Mapping[str, Resource]) -> set[str]:
    changed = before.keys() ^ after.keys()
    changed.update(name for name in before.keys() & after.keys() if before[name].version != after[name].version)
    return changed
