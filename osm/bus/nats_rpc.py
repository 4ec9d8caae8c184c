"""Questions and answers over core NATS. The subject says who asks, since nothing else in NATS does.

The server checks that for what a client publishes, and not for what it delivers itself (a consumer, a republishing
stream); but then the answer would not go to an inbox of the caller, so only such questions are answered. An answer
needs no signature: it goes to an inbox that nobody can guess or hear, and a chain is of use to its key's holder only.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import nats.errors
import structlog
from msgspec import Struct
from nats.aio.msg import Msg

from osm.bus import BusError, NoAnswer, documents, nats_wire, rights, trace
from osm.bus.background_tasks import background_tasks
from osm.bus.nats_connection import AWAY, RETRY_S, NatsConnection
from osm.contracts.channels import Rpc
from osm.contracts.codec import Undecodable, decode

T = TypeVar("T", bound=Struct)
Q = TypeVar("Q", bound=Struct)

log = structlog.get_logger()

AT_ONCE = 64
"""Questions under way in one server; more wait in its subscription, and another replica may take them."""


async def ask(link: NatsConnection, rpc: Rpc[Q, T], request: Q, timeout_s: float) -> T:
    """Raises NoAnswer, TooLarge, or BusError if the answer is an error."""
    what = f"{rpc.owner} {rpc.verb}"
    body = documents.encode_one(f"{what}: the request", request, link.max_body_bytes)
    headers = {nats_wire.TRACEPARENT: traceparent} if (traceparent := trace.current()) else {}
    try:
        reply = await link.request(rpc.subject(link.name), body, headers, timeout_s)
    except nats.errors.NoRespondersError:
        raise NoAnswer(f"{what}: nobody serves it") from None
    except TimeoutError:
        raise NoAnswer(f"{what}: no answer within {timeout_s:g} s") from None
    except AWAY as error:
        raise NoAnswer(f"{what}: {error}") from error
    if (why := (reply.headers or {}).get(nats_wire.ERROR)) is not None:
        raise BusError(why)
    try:
        return decode(rpc.reply, reply.data)
    except Undecodable as error:
        raise BusError(f"{what}: the answer is {error}") from error


@asynccontextmanager
async def serve(link: NatsConnection, rpc: Rpc[Q, T], answer: Callable[[str, Q], Awaitable[T]]) -> AsyncIterator[None]:
    """Answer while the context is open; questions under way at its end are dropped (their askers ask again)."""
    room = asyncio.Semaphore(AT_ONCE)

    async def reply(message: Msg) -> None:
        try:
            await _reply(link, rpc, message, answer)
        finally:
            room.release()

    async with background_tasks() as tasks:

        async def take(message: Msg) -> None:
            await room.acquire()
            under_way.add(task := tasks.create_task(reply(message)))
            task.add_done_callback(under_way.discard)

        under_way: set[asyncio.Task[None]] = set()
        subscription = await link.client.subscribe(rpc.subject("*"), queue=rpc.owner, cb=take)
        await _heard(link)
        try:
            yield
        finally:
            with suppress(*AWAY):
                await subscription.unsubscribe()
                await link.settle()  # from here on the server gives questions to other replicas
            for task in under_way:
                task.cancel()


async def _heard(link: NatsConnection) -> None:
    """Until the server gives us questions: one that is away, or too busy to say so, is told again on its return."""
    while True:
        await link.until_connected()
        try:
            return await link.settle()
        except AWAY:
            await asyncio.sleep(RETRY_S)


async def _reply(link: NatsConnection, rpc: Rpc[Q, T], message: Msg, answer: Callable[[str, Q], Awaitable[T]]) -> None:
    caller = message.subject.rpartition(".")[2]
    if not message.reply.startswith(f"{nats_wire.inbox(caller)}."):
        log.warning("rpc question not believed", owner=rpc.owner, verb=rpc.verb, caller=caller, reply=message.reply)
        return
    headers: dict[str, str] = {}
    body = b""
    try:
        rights.require_ask(caller, rpc)
        with trace.continued((message.headers or {}).get(nats_wire.TRACEPARENT, "")):
            said = await answer(caller, decode(rpc.request, message.data))
            body = documents.encode_one(f"{rpc.owner} {rpc.verb}: the answer", said, link.max_body_bytes)
    except BusError as error:
        headers = {nats_wire.ERROR: _one_line(error)}
    except Undecodable as error:
        headers = {nats_wire.ERROR: f"{rpc.owner} {rpc.verb}: {_one_line(error)}"}
    except Exception as error:  # one question's failure must not end the service: its asker hears of it
        log.exception("rpc answer failed", owner=rpc.owner, verb=rpc.verb, caller=caller)
        headers = {nats_wire.ERROR: f"{rpc.owner} {rpc.verb}: the answer failed: {_one_line(error)}"}
    with suppress(*AWAY):  # the asker's patience is bounded; there is nobody else to tell
        await link.client.publish(message.reply, body, headers=headers)


def _one_line(error: Exception) -> str:
    """A header's value may hold no line break."""
    return " ".join(str(error).split()) or type(error).__name__
