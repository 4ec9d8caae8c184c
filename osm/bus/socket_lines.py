"""What passes over the Unix socket: JSON, one message a line, each line bounded.

A connection carries one request: a watch, answered without end, or a question, answered once.
The two ends may be of different versions: unknown fields are ignored, a request unknown to an older mesh is
answered with an error that names its version.
"""

import asyncio
from typing import TypeVar

import msgspec
from msgspec import Struct

from osm.bus import BusError, documents

MAX_LINE_BYTES = 2 * documents.MAX_BYTES
"""A document's body grows by a third as base64; the rest is room for names."""

MAX_REQUEST_BYTES = 64 * 1024
"""A request is a few names; more is not one of ours."""

SOCKET_MODE = 0o600
FOLDER_MODE = 0o700


class Watch(Struct, frozen=True, kw_only=True, tag="watch"):
    """Updates of these buckets; `states` (`bucket.entity`) limits the kinds of keys."""

    buckets: tuple[str, ...]
    states: tuple[str, ...] = ()


class Ask(Struct, frozen=True, kw_only=True, tag="ask"):
    """A question in the channel table's words; `request` is the encoded document."""

    owner: str
    verb: str
    request: bytes
    timeout_s: float


class Written(Struct, frozen=True, kw_only=True, tag="document", omit_defaults=True):
    """A document of the update in progress; the reader decodes it with its own types."""

    bucket: str
    key: str
    revision: int
    writer: str = ""
    trace: str = ""
    deleted: bool = False
    body: bytes = b""
    why: str = ""


class Told(Struct, frozen=True, kw_only=True, tag="update"):
    """The end of an update: the documents since the last one belong to it."""

    bucket: str
    full: bool
    revision: int
    incarnation: str = ""


class Reply(Struct, frozen=True, kw_only=True, tag="reply"):
    """The answer to a question, encoded."""

    body: bytes


class Failed(Struct, frozen=True, kw_only=True, tag="failed"):
    """The end of the connection, and why. `no_answer`: nobody answered, as opposed to a refusal."""

    why: str
    no_answer: bool = False


Request = Watch | Ask
Line = Written | Told | Reply | Failed

T = TypeVar("T")


async def read(stream: asyncio.StreamReader, decoder: msgspec.json.Decoder[T]) -> T | None:
    """The next message; None at the end. Raises BusError for a line too long or not understood."""
    try:
        line = await stream.readline()
    except ValueError as error:  # what asyncio raises for a line over the stream's limit
        raise BusError(f"a message is longer than allowed: {error}") from error
    if not line.endswith(b"\n"):
        return None
    try:
        return decoder.decode(line)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise BusError(f"a message that this version does not know: {error}") from error


async def write(stream: asyncio.StreamWriter, message: Request | Line) -> None:
    stream.write(msgspec.json.encode(message) + b"\n")
    await stream.drain()
