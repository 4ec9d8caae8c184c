"""The bus: whole last values by key, questions and answers. Two adapters with one meaning: memory and NATS.

This module is the meaning: what services may rely on. `memory` is for one process (`osm up`, tests),
`nats` for many, `socket` lends an embedded mesh's bus to the CLI. The same contract tests run against each.

A reader of a bucket gets its whole picture first, then changes. It never sees half a picture, and never takes
an emptied, lost or remade bucket for deletions: until the writer has put a full picture again (`_synced`,
naming the bucket's incarnation), the last good picture stays.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from osm.contracts.channels import Rpc, State

T = TypeVar("T", bound=Struct)
Q = TypeVar("Q", bound=Struct)


class BusError(Exception):
    """The bus did not do what was asked; the message names the bucket or subject."""


class LeadershipLost(BusError):
    """Another writer has written where this one thought it was alone. The process must not write on."""


class NoAnswer(BusError):
    """Nobody serves the subject, or nobody answered in time."""


class TooLarge(BusError):
    """A document over the bus's limit: the owner's Problem, with its key and both sizes in bytes."""


class Document(Struct, frozen=True, kw_only=True):
    """One value as it lies in a bucket: for `osm bus watch` and for whoever needs more than the value.

    `value` is None for a deletion, and for a body that today's types cannot decode or that the bucket's owner has
    not signed (`why` then says so; whoever keeps a picture keeps the last good value). `trace` is the W3C
    traceparent of the write.
    """

    bucket: str
    key: str
    value: Struct | None
    revision: int
    writer: str = ""
    why: str = ""
    trace: str = ""
    deleted: bool = False
    body: bytes = b""


class Update(Struct, frozen=True, kw_only=True):
    """What changed in a bucket since the last update, newest value per key.

    `full`: these documents are the whole bucket: what the reader knows beside them is gone.
    `revision`: the bucket's revision after it; all documents up to it have been delivered.
    `incarnation` names the filling that the picture is of: another one means that the bucket was lost in between.
    """

    bucket: str
    full: bool
    documents: tuple[Document, ...]
    revision: int
    incarnation: str = ""


class Writer(Protocol):
    """The one hand on a bucket (or on some key prefixes of it), fenced: a stale one fails, it does not overwrite.

    Equal values are not written again. Every method returns the bucket's revision after it
    and raises LeadershipLost, TooLarge (nothing of the call is written) or BusError.
    """

    async def publish(self, documents: Mapping[str, Struct], *, keep: Collection[str] = ()) -> int:
        """Make the bucket hold exactly these (and `keep`, as they are), then mark it synced.

        Puts go first in the mapping's order, deletions last.
        """

    async def apply(self, puts: Mapping[str, Struct], deletes: Collection[str] = ()) -> int:
        """Change some keys: puts in order, then deletions. Only after `publish`."""

    def held(self) -> Mapping[str, bytes]:
        """What the bucket held when this writer took over, and has written since: key → body."""


class StatusWriter(Protocol):
    """A service's hand on the `status` bucket: unfenced, keys of its own, lines that age."""

    async def put(self, key: str, value: Struct) -> None: ...

    async def delete(self, key: str) -> None: ...


class Bus(Protocol):
    """What a service is given. `name` is the service's own (its NATS user, the writer in `Document`)."""

    name: str

    def writer(self, bucket: str, entities: Collection[str] = ()) -> AbstractAsyncContextManager[Writer]:
        """Wait until this process may write the bucket (standby until then), and hold that right.

        `entities` limits the right to some kinds of keys; empty means the whole bucket. Over NATS, losing the
        right ends the body, idle or not, with LeadershipLost; a writer also fills a bucket again that was emptied.
        """

    def watch(self, *buckets: str, states: Collection[State[Any]] = ()) -> AsyncIterator[Update]:
        """Updates of the buckets, each bucket's full picture first; endless.

        `states` limits the kinds of keys of the buckets they belong to; of the others all are told.
        A change of other kinds is told as an update without documents: the revision has moved.
        A reader that is busy gets one Update for all it missed. An update waits for nothing:
        the first change comes at once, what comes meanwhile is coalesced.
        """

    def status(self) -> StatusWriter: ...

    async def ask(self, rpc: Rpc[Q, T], request: Q, *, timeout_s: float = 5.0) -> T:
        """Raises NoAnswer, or BusError if `name` may not ask."""

    def serve(self, rpc: Rpc[Q, T], answer: Callable[[str, Q], Awaitable[T]]) -> AbstractAsyncContextManager[None]:
        """Answer questions while the context is open; `answer` gets the caller's name and the request.

        An undecodable request is answered with an error and never reaches `answer`.
        """

    async def ready(self) -> bool:
        """Whether the bus can be used now (connected)."""
