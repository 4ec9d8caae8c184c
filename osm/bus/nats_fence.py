"""Writes to a stream that succeed only while nobody else writes to it, on any key.

A paused leader that wakes fails on its first write and on all that it had under way, whatever the new one wrote.
"""

import asyncio
import itertools
from collections.abc import Sequence

import nats.errors

from osm.bus import BusError, TooLarge, nats_wire, trace
from osm.bus.nats_link import AWAY, Link

WINDOW = 256
"""Writes under way at once: enough to hide the round trip, few enough to refresh a lease in between."""

WINDOW_BYTES = 1024 * 1024

ACK_TIMEOUT_S = 5.0

Step = tuple[str, bytes | None]
"""A key and its new body; None deletes."""


def window(steps: Sequence[Step]) -> list[Step]:
    """The first steps, as many as may be under way at once; at least one."""
    size, count = 0, 0
    while count < min(WINDOW, len(steps)) and (not count or size < WINDOW_BYTES):
        size += len(steps[count][1] or b"")
        count += 1
    return list(steps[:count])


class Fence:
    """One writer's way into one stream. `last` is the sequence it believes to be the stream's last."""

    def __init__(self, link: Link, bucket: str, holder: str) -> None:
        self.last = 0
        self._link = link
        self._bucket = bucket
        self._holder = holder
        self._sent = 0

    async def write(self, steps: Sequence[Step]) -> list[int]:
        """Write all at once, in order; the sequences of those surely written, which are the first ones.

        Raises BusError if the server refuses, TooLarge among it.
        """
        acks = await asyncio.gather(
            *(self._put(*step, fence) for step, fence in zip(steps, self._fences(len(steps)), strict=True))
        )
        written = [sequence for sequence in itertools.takewhile(lambda ack: ack is not None, acks) if sequence]
        self.last = written[-1] if written else self.last
        return written

    def _fences(self, count: int) -> list[dict[str, str]]:
        """Headers that let writes under way at once succeed only in one unbroken row after our last one.

        The first expects the last sequence. The others must not: after k writes of another, the k-th of ours
        would expect what it finds. They expect the message before them, by its id, to be the stream's last.
        """
        ids = [f"{self._holder}-{self._sent + n}" for n in range(count)]
        self._sent += count
        first = {nats_wire.MESSAGE_ID: ids[0], nats_wire.EXPECTED: str(self.last)}
        return [first] + [
            {nats_wire.MESSAGE_ID: own, nats_wire.EXPECTED_ID: before} for before, own in itertools.pairwise(ids)
        ]

    async def _put(self, key: str, body: bytes | None, fence: dict[str, str]) -> int | None:
        """The sequence it was written at; None if it was not, or nobody knows."""
        headers = {**fence, nats_wire.WRITER: self._link.name}
        if body is None:
            headers[nats_wire.OPERATION] = "DEL"
        if traceparent := trace.current():
            headers[trace.TRACEPARENT] = traceparent
        try:
            reply = await self._link.request(nats_wire.subject(self._bucket, key), body or b"", headers, ACK_TIMEOUT_S)
        except nats.errors.MaxPayloadError as error:
            found, limit = len(body or b""), self._link.max_body_bytes
            raise TooLarge(f"{self._bucket} {key}: the document has {found} bytes, allowed are {limit}") from error
        except AWAY:
            return None
        ack = nats_wire.read_ack(reply.data)
        if ack.error is None:
            return ack.seq
        if ack.error.err_code in nats_wire.OVERTAKEN or not nats_wire.is_refusal(ack.error.code, ack.error.err_code):
            return None
        raise BusError(f"bucket {self._bucket}: the server refuses {key}: {ack.error.description}")
