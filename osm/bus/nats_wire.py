"""The layout of the bus in NATS: names of streams and subjects, headers, marks and leases. Pure.

The layout is that of NATS key-value buckets, so `nats kv ls catalog` shows what `osm bus watch` shows. Keys that
begin with `_` are the bus's own: `_synced` ends a full picture, `_leader` says who may write; readers of
documents never see them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from osm.bus import BusError, Document, documents
from osm.bus.nats_signature import Claim

EXPECTED = "Nats-Expected-Last-Sequence"
MESSAGE_ID = "Nats-Msg-Id"
EXPECTED_ID = "Nats-Expected-Last-Msg-Id"
OPERATION = "KV-Operation"
MARKER = "Nats-Marker-Reason"
WRITER = "Osm-Writer"
PROOF = "Osm-Proof"
"""Header of a write: its owner's signature, see `nats_signature`."""
TRACEPARENT = "traceparent"
"""Header of whatever is part of a trace (W3C Trace Context), see `trace`."""
ERROR = "Osm-Error"
"""Header of an rpc reply: the sentence of why there is no answer."""

NO_ROOM = frozenset({10002, 10023, 10028, 10047, 10077})
"""JetStream's error codes for a store or an account that is full, some of which it calls unavailable (503)."""

PASSING = frozenset({10005, 10007, 10009, 10041})
"""JetStream's error codes of a cluster that is not whole or has no leader, told as mistake (400) or fault (500)."""

HEADERS_BYTES = 4096
"""Room for headers: the server counts them into `max_payload`."""

SYNCED = "_synced"
LEADER = "_leader"

OVERTAKEN = frozenset({10070, 10071, 10164})
"""JetStream's error codes for a failed compare-and-set: by message id, by sequence, and by sequence since 2.12."""


Step = tuple[str, bytes | None]
"""A write: a key and its new body; None deletes."""


class Mark(Struct, frozen=True, kw_only=True):
    """The value of `_synced`. `incarnation` is made anew whenever a writer finds none: the bucket was empty.

    `complete` is false from the first to the last write of such a filling, so that a reader who looked on
    while the bucket was emptied does not take the pieces for changes.
    """

    incarnation: str
    complete: bool


class Lease(Struct, frozen=True, kw_only=True):
    """The value of `_leader`: which process may write, and how long its silence has to be before another may."""

    holder: str
    lease_s: float
    seat: str = ""


class Ack(Struct, frozen=True, kw_only=True):
    """JetStream's answer to a write."""

    class Error(Struct, frozen=True, kw_only=True):
        """Why it was not written."""

        code: int
        err_code: int = 0
        description: str = ""

    seq: int = 0
    duplicate: bool = False
    error: Error | None = None


class Entry(NamedTuple):
    """One message of a bucket's stream. `body` None is a deletion. `at_s` is the server's clock."""

    key: str
    body: bytes | None
    revision: int
    writer: str
    trace: str
    at_s: float

    def document(self, bucket: str) -> Document:
        if self.body is None:
            return documents.deletion(
                bucket=bucket, key=self.key, revision=self.revision, writer=self.writer, trace=self.trace
            )
        return documents.read(
            bucket=bucket,
            key=self.key,
            body=self.body,
            revision=self.revision,
            writer=self.writer,
            trace=self.trace,
        )


class Forgery(NamedTuple):
    """A message of a bucket's stream that its owner has not put there: nothing in it is of use."""

    key: str
    revision: int
    why: str

    def document(self, bucket: str) -> Document:
        return Document(bucket=bucket, key=self.key, value=None, revision=self.revision, why=self.why)


class Position(NamedTuple):
    """What the reply subject of a delivered message says of it."""

    consumer: str
    revision: int
    delivered: int
    at_s: float
    pending: int


def position(reply: str) -> Position:
    """Reads `$JS.ACK.<stream>.<consumer>.<times>.<stream seq>.<consumer seq>.<ns>.<pending>`.

    Newer servers put a domain and an account hash before the stream (ADR-15). Raises ValueError.
    """
    tokens = reply.split(".")
    if len(tokens) > 9:
        del tokens[2:4]
    _, _, _, consumer, _, revision, delivered, at_ns, pending = tokens[:9]
    return Position(consumer, int(revision), int(delivered), int(at_ns) / 1e9, int(pending))


def entry(bucket: str, subject: str, body: bytes, headers: Mapping[str, str], at: Position) -> Entry:
    deleted = OPERATION in headers or MARKER in headers
    return Entry(
        key=subject.removeprefix(f"$KV.{bucket}."),
        body=None if deleted else body,
        revision=at.revision,
        writer=headers.get(WRITER, ""),
        trace=headers.get(TRACEPARENT, ""),
        at_s=at.at_s,
    )


def claim(bucket: str, created: str, entry: Entry) -> Claim:
    """What has to be signed for this entry to be believed."""
    return Claim(bucket, created, entry.revision, entry.key, entry.writer, entry.body)


def stream(bucket: str) -> str:
    return f"KV_{bucket}"


def subject(bucket: str, key: str) -> str:
    return f"$KV.{bucket}.{key}"


def inbox(user: str) -> str:
    """Where a user's answers arrive: a prefix of its own, so that nobody else can listen."""
    return f"_INBOX_{user}"


def mark_keys(entities: frozenset[str]) -> tuple[str, ...]:
    """The marks of a writer of these kinds of keys (all if empty)."""
    return tuple(f"{SYNCED}.{name}" for name in sorted(entities)) or (SYNCED,)


def lease_keys(entities: frozenset[str]) -> tuple[str, ...]:
    return tuple(f"{LEADER}.{name}" for name in sorted(entities)) or (LEADER,)


def is_mark(key: str) -> bool:
    return documents.entity(key) == SYNCED


def is_lease(key: str) -> bool:
    return documents.entity(key) == LEADER


def read_mark(body: bytes | None) -> Mark | None:
    """None for a deleted mark, and for one that is not understood: then the picture does not count as full."""
    try:
        return None if body is None else msgspec.json.decode(body, type=Mark)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return None


def read_lease(body: bytes | None) -> Lease | None:
    """None for a lease given back. One that is not understood is somebody's: nobody's name, longest silence."""
    try:
        return None if body is None else msgspec.json.decode(body, type=Lease)
    except (msgspec.ValidationError, msgspec.DecodeError):
        return Lease(holder="", lease_s=UNKNOWN_LEASE_S)


UNKNOWN_LEASE_S = 60.0
"""A lease written by another version is respected for this long: longer than any version's own."""


def is_refusal(code: int, err_code: int) -> bool:
    """Whether JetStream's error stays until a person does something; an unavailable server comes back by itself."""
    return err_code in NO_ROOM or (code != 503 and err_code not in PASSING)


def read_ack(body: bytes) -> Ack:
    """Raises BusError."""
    try:
        return msgspec.json.decode(body, type=Ack)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BusError(f"the server's acknowledgement is not understood: {error}") from error
