"""Status lines in NATS: written without fences or acknowledgement, and repeated while they are true.

The bucket forgets a line after its maximum age, so a line whose writer has died goes by itself. A lost write
costs a line until its next refresh: the forward path never reads here. Nor are lines signed, since the bucket has
no fence and so no line a place known before: `osm status` may be lied to by who has stolen a service's password.
"""

import asyncio
from contextlib import suppress

from msgspec import Struct

from osm.bus import StatusWriter, documents, nats_buckets, nats_wire, rights, trace
from osm.bus.nats_connection import AWAY, RETRY_S, NatsConnection

REFRESHES_AN_AGE = 3
"""Two of them may be lost."""


class NatsStatus(StatusWriter):
    """One service's lines. `keep_fresh` runs beside it."""

    def __init__(self, link: NatsConnection, *, max_age_s: float, replicas: int) -> None:
        self._link = link
        self._max_age_s = max_age_s
        self._replicas = replicas
        self._lines: dict[str, bytes] = {}

    async def put(self, key: str, value: Struct) -> None:
        rights.require_status(self._link.name, key)
        limit = min(documents.MAX_BYTES, self._link.max_body_bytes)
        (body,) = documents.encode_all(rights.STATUS, {key: value}, limit=limit).values()
        if self._lines.get(key) == body:
            return
        self._lines[key] = body
        await self._say(key, body)

    async def delete(self, key: str) -> None:
        rights.require_status(self._link.name, key)
        if self._lines.pop(key, None) is not None:
            await self._say(key, None)

    async def keep_fresh(self) -> None:
        """Endless: make the bucket, say every line at a third of the maximum age, and at once on a new connection."""
        changed = asyncio.Event()
        self._link.wake.add(changed)
        while True:
            await self._link.until_connected()
            changed.clear()
            try:
                await nats_buckets.ensure(self._link, rights.STATUS, replicas=self._replicas, max_age_s=self._max_age_s)
            except AWAY:
                await asyncio.sleep(RETRY_S)
                continue
            for key, body in list(self._lines.items()):
                await self._say(key, body)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._max_age_s / REFRESHES_AN_AGE):
                    await changed.wait()

    async def _say(self, key: str, body: bytes | None) -> None:
        headers = {nats_wire.WRITER: self._link.name}
        if body is None:
            headers[nats_wire.OPERATION] = "DEL"
        if traceparent := trace.current():
            headers[nats_wire.TRACEPARENT] = traceparent
        if self._link.connected:
            with suppress(*AWAY):  # the next refresh says it
                await self._link.client.publish(nats_wire.subject(rights.STATUS, key), body or b"", headers=headers)
