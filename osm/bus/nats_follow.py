"""Reads one bucket's stream from its first message on, and notices when messages are missing.

A plain push consumer of ours: an ordered consumer of the client library would resume behind our back, and a resumed
picture of a bucket that was made anew in between is a wrong one. It never resumes: whoever follows starts over.
What the bucket's owner has not signed for its very place is told as a Forgery, and said once in the log.
"""

import asyncio
from collections.abc import Callable

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api

from osm.bus import nats_wire
from osm.bus.nats_connection import AWAY, NatsConnection
from osm.bus.nats_wire import Entry, Forgery, Position

HEARTBEAT_S = 1.0
"""An idle consumer says this often that it lives. A deleted one says nothing: its silence is all there is to notice."""

SILENCE_S = 3 * HEARTBEAT_S
"""Silent for this long, a consumer has been lost: deleted, or gone with its stream."""

ON_ITS_WAY_S = 1.0
"""What the stream has and we have not may be on its way for this long."""

INACTIVE_S = 30.0
"""The server forgets a consumer that nobody has listened to for this long."""


Tell = Callable[[Entry | Forgery], None]


class Follower:
    """Calls `tell` with every entry in order, the bucket's present content first.

    `complete` once that first part is over; `lost` (a reason) when something was missed: then make another.
    """

    def __init__(self, link: NatsConnection, bucket: str, tell: Tell, changed: asyncio.Event) -> None:
        self.complete = False
        self.lost = ""
        self.last = 0
        """The stream sequence up to which all has been told."""
        self.created = ""
        """When the stream was made: another value is another stream."""
        self._link = link
        self._bucket = bucket
        self._tell = tell
        self._changed = changed
        self._doubter = link.keys.doubter(bucket)
        self._name = f"{link.name}-{link.client.new_inbox().rpartition('.')[2]}"
        self._generation = link.generation
        self._behind = (-1, 0.0)
        self._delivered = 0
        self._whole_at = 0
        self._heard_at = self._looked_at = asyncio.get_running_loop().time()
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        """Raises one of `nats_link.AWAY` (NotFoundError if there is no such bucket)."""
        jetstream = self._link.jetstream
        info = await self._link.api(jetstream.stream_info(nats_wire.stream(self._bucket)))
        self.created = str(info.created)
        self._whole_at = info.state.last_seq
        inbox = self._link.client.new_inbox()
        self._subscription = await self._link.client.subscribe(
            inbox, cb=self._on_message, pending_msgs_limit=0, pending_bytes_limit=0
        )
        config = api.ConsumerConfig(
            name=self._name,
            deliver_subject=inbox,
            deliver_policy=api.DeliverPolicy.ALL,
            ack_policy=api.AckPolicy.NONE,
            max_deliver=1,
            flow_control=True,
            idle_heartbeat=HEARTBEAT_S,
            inactive_threshold=INACTIVE_S,
            mem_storage=True,
            num_replicas=1,
        )
        consumer = await self._link.api(jetstream.add_consumer(nats_wire.stream(self._bucket), config))
        if not consumer.num_pending and not self._delivered:
            self._completed()

    async def stop(self) -> None:
        """The server forgets the consumer by itself: no right to delete consumers is needed."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            try:
                await subscription.unsubscribe()
            except AWAY:
                return  # the connection is gone, and the subscription with it

    def check(self) -> bool:
        """Whether the thread still holds; `lost` says why not.

        Whoever has not looked for longer than a heartbeat was busy: what the server has said meanwhile may not have
        been read yet, so that time is no silence. A large picture would else be read anew each time it is worked in.
        """
        now = asyncio.get_running_loop().time()
        busy_s = max(now - self._looked_at - HEARTBEAT_S, 0.0)
        self._looked_at, self._heard_at = now, min(self._heard_at + busy_s, now)
        behind_at, since = self._behind
        if self._link.generation != self._generation:
            self.lost = "reconnected"
        elif now - self._heard_at > SILENCE_S:
            self.lost = f"silent for {SILENCE_S:g} s"
        elif self.last == behind_at and now - since > ON_ITS_WAY_S:
            self.lost = f"nothing was delivered after revision {behind_at}"
        return not self.lost

    async def compare(self) -> None:
        """Ask the stream how far it is; what it says shows in the next `check`. Raises one of `nats_link.AWAY`."""
        before = self.last
        info = await self._link.api(self._link.jetstream.stream_info(nats_wire.stream(self._bucket)))
        if str(info.created) != self.created or info.state.last_seq < before:
            self.lost = "the bucket was made anew"
        elif self.last == before < info.state.last_seq and info.state.messages:
            self._behind = (before, asyncio.get_running_loop().time())

    async def _on_message(self, message: Msg) -> None:
        headers = message.headers or {}
        if "Status" in headers:
            await self._on_control(message, headers)
            return
        at = nats_wire.position(message.reply)
        if at.consumer != self._name or self.lost:
            return
        self._heard_at = asyncio.get_running_loop().time()
        if at.delivered != self._delivered + 1:
            self._lose(f"message {self._delivered + 1} of the consumer is missing")
            return
        self._delivered, self.last = at.delivered, at.revision
        self._tell(self._judged(message, headers, at))
        if not self.complete and (at.pending == 0 or at.revision >= self._whole_at):
            self._completed()

    def _judged(self, message: Msg, headers: dict[str, str], at: Position) -> Entry | Forgery:
        entry = nats_wire.entry(self._bucket, message.subject, message.data, headers, at)
        if self._doubter is None:
            return entry
        claim = nats_wire.claim(self._bucket, self.created, entry)
        why = self._doubter.doubt(claim, headers.get(nats_wire.PROOF, ""))
        if not why:
            return entry
        self._link.disbelieve(self._bucket, entry.key, why)
        return Forgery(entry.key, entry.revision, why)

    async def _on_control(self, message: Msg, headers: dict[str, str]) -> None:
        """Flow control is answered when it is reached in order, which is what holds a fast server back."""
        if headers["Status"] != "100":
            self._lose(f"the consumer ended: {headers.get('Description', headers['Status'])}")
            return
        self._heard_at = asyncio.get_running_loop().time()
        answer_to = message.reply or headers.get("Nats-Consumer-Stalled", "")
        if answer_to:
            await self._link.client.publish(answer_to)
        if int(headers.get("Nats-Last-Consumer", self._delivered)) > self._delivered:
            self._lose(f"message {self._delivered + 1} of the consumer is missing")

    def _completed(self) -> None:
        self.complete = True
        self.last = max(self.last, self._whole_at)
        self._changed.set()

    def _lose(self, why: str) -> None:
        self.lost = why
        self._changed.set()


async def wait(changed: asyncio.Event, timeout_s: float) -> None:
    """Until the event, and clear it; or until the time is over."""
    try:
        async with asyncio.timeout(timeout_s):
            await changed.wait()
        changed.clear()
    except TimeoutError:
        return  # nothing came: the caller looks for itself
