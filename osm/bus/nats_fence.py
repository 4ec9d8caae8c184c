"""Writes to a stream that succeed only while nobody else writes to it, on any key.

A paused leader that wakes fails on its first write and on all that it had under way, whatever the new one wrote.
Since writes succeed in one unbroken row, the place of each is known before, and is part of what is signed.
"""

import asyncio
import itertools
import secrets
from collections.abc import Sequence

import nats.errors

from osm.bus import BusError, TooLarge, nats_wire, trace
from osm.bus.nats_connection import AWAY, NatsConnection
from osm.bus.nats_signature import Claim
from osm.bus.nats_wire import Step

WINDOW = 256
"""Writes under way at once: enough to hide the round trip, few enough to refresh a lease in between."""

WINDOW_BYTES = 1024 * 1024

ACK_TIMEOUT_S = 5.0


def window(steps: Sequence[Step]) -> list[Step]:
    """The first steps, as many as may be under way at once; at least one."""
    size, count = 0, 0
    while count < min(WINDOW, len(steps)) and (not count or size < WINDOW_BYTES):
        size += len(steps[count][1] or b"")
        count += 1
    return list(steps[:count])


class Fence:
    """One writer's way into one stream, made at `created`, of which it believes `last` to be the last sequence."""

    def __init__(self, link: NatsConnection, bucket: str) -> None:
        self.last = 0
        self.created = ""
        self._link = link
        self._bucket = bucket

    async def write(self, steps: Sequence[Step]) -> list[int]:
        """Write all at once, in order; the sequences of those surely written, which are the first ones.

        Raises BusError if the server refuses, TooLarge among it.
        """
        places = range(self.last + 1, self.last + 1 + len(steps))
        acks: list[int | None] = await asyncio.gather(
            *(
                self._put(*step, {**fence, **proof})
                for step, fence, proof in zip(steps, self._fences(len(steps)), self._proofs(steps, places), strict=True)
            )
        )
        # an acknowledgement of another place is of a message that took ours, or our id
        pairs = zip(places, acks, strict=True)
        written = [place for place, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)]
        self.last = written[-1] if written else self.last
        return written

    def _fences(self, count: int) -> list[dict[str, str]]:
        """Headers that let writes under way at once succeed only in one unbroken row after our last one.

        The first expects the last sequence. The others must not: after k writes of another, the k-th of ours
        would expect what it finds. They expect the message before them, by its id, to be the stream's last.
        Nobody can guess an id: the server takes the second message of an id for a copy of the first.
        """
        token = secrets.token_hex(8)
        ids = [f"{token}-{n}" for n in range(count)]
        first = {nats_wire.MESSAGE_ID: ids[0], nats_wire.EXPECTED: str(self.last)}
        return [first] + [
            {nats_wire.MESSAGE_ID: own, nats_wire.EXPECTED_ID: before} for before, own in itertools.pairwise(ids)
        ]

    def _proofs(self, steps: Sequence[Step], places: Sequence[int]) -> list[dict[str, str]]:
        claims = [
            Claim(self._bucket, self.created, place, key, self._link.name, body)
            for place, (key, body) in zip(places, steps, strict=True)
        ]
        return [{nats_wire.PROOF: proof} if proof else {} for proof in self._link.keys.prove(claims)]

    async def _put(self, key: str, body: bytes | None, fence: dict[str, str]) -> int | None:
        """The sequence it was written at; None if it was not, or nobody knows, or the server took it for a copy."""
        headers = {**fence, nats_wire.WRITER: self._link.name}
        if body is None:
            headers[nats_wire.OPERATION] = "DEL"
        if traceparent := trace.current():
            headers[nats_wire.TRACEPARENT] = traceparent
        try:
            reply = await self._link.request(nats_wire.subject(self._bucket, key), body or b"", headers, ACK_TIMEOUT_S)
        except nats.errors.BadSubjectError as error:  # no retry would mend it
            raise BusError(f"bucket {self._bucket}: {key!r} can be no key") from error
        except nats.errors.MaxPayloadError as error:
            found, limit = len(body or b""), self._link.max_body_bytes
            raise TooLarge(f"{self._bucket} {key}: the document has {found} bytes, allowed are {limit}") from error
        except AWAY:
            return None
        ack = nats_wire.read_ack(reply.data)
        if ack.error is None:
            return None if ack.duplicate else ack.seq
        if ack.error.err_code in nats_wire.OVERTAKEN or not nats_wire.is_refusal(ack.error.code, ack.error.err_code):
            return None
        raise BusError(f"bucket {self._bucket}: the server refuses {key}: {ack.error.description}")
