"""The bus between processes: NATS JetStream key-value for state and status, core NATS for questions.

This is the wiring. The ideas are in `nats_writer` and `nats_fence` (one hand on a bucket), `nats_lease` (who may
write), `nats_signature` and `nats_keys` (who has written), `nats_follow` (a stream read without holes), `nats_watch`
(whole pictures), `nats_status`, `nats_rpc`, `nats_connection` (the connection) and `nats_dial` (how it is made).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, TypeVar

from msgspec import Struct

from osm.bus import Bus, StatusWriter, Update, Writer, documents, nats_rpc, nats_watch, nats_writer, rights
from osm.bus.background_tasks import background_tasks
from osm.bus.nats_connection import NatsConnection, open_link
from osm.bus.nats_settings import NatsSettings
from osm.bus.nats_status import NatsStatus
from osm.contracts.channels import STATUS_MAX_AGE_S, Rpc, State

T = TypeVar("T", bound=Struct)
Q = TypeVar("Q", bound=Struct)


class NatsBus(Bus):
    """One service's bus. Made by `open_nats`."""

    def __init__(
        self, link: NatsConnection, settings: NatsSettings, status: NatsStatus, status_max_age_s: float
    ) -> None:
        self.name = link.name
        self._link = link
        self._settings = settings
        self._status = status
        self._status_max_age_s = status_max_age_s

    @asynccontextmanager
    async def writer(self, bucket: str, entities: Collection[str] = ()) -> AsyncIterator[Writer]:
        rights.require_write(self.name, bucket)
        kinds = frozenset(entities)
        writer = nats_writer.NatsWriter(
            self._link,
            bucket,
            kinds,
            lease_s=self._settings.lease_s,
            replicas=self._settings.replicas,
            seat=self._settings.seat,
        )
        if kinds:  # a right that is taken for a moment and given back: nobody stands by for it
            async with nats_writer.hold(writer):
                yield writer
            return
        with self._link.measures.standing_by(bucket):
            async with nats_writer.hold(writer):
                self._link.measures.writes(bucket)
                yield writer

    async def watch(self, *buckets: str, states: Collection[State[Any]] = ()) -> AsyncIterator[Update]:
        for bucket in buckets:
            rights.require_read(self.name, bucket)
        updates = nats_watch.watch(
            self._link,
            {bucket: documents.kinds(bucket, states) for bucket in buckets},
            reconcile_s=self._settings.reconcile_s,
            max_age_s=self._status_max_age_s,
        )
        async with aclosing(updates):
            async for update in updates:
                yield update

    def status(self) -> StatusWriter:
        return self._status

    async def ask(self, rpc: Rpc[Q, T], request: Q, *, timeout_s: float = 5.0) -> T:
        rights.require_ask(self.name, rpc)
        return await nats_rpc.ask(self._link, rpc, request, timeout_s)

    def serve(self, rpc: Rpc[Q, T], answer: Callable[[str, Q], Awaitable[T]]) -> AbstractAsyncContextManager[None]:
        rights.require_serve(self.name, rpc)
        return nats_rpc.serve(self._link, rpc, answer)

    async def ready(self) -> bool:
        return self._link.connected


@asynccontextmanager
async def open_nats(
    url: str, name: str, settings: NatsSettings, *, status_max_age_s: float = STATUS_MAX_AGE_S
) -> AsyncIterator[Bus]:
    """The bus at a NATS server, which is waited for.

    Raises BusError if a key is missing, or if the server refuses us, now or later: the body is ended then.
    """
    async with open_link(url, name, settings) as link:
        status = NatsStatus(link, max_age_s=status_max_age_s, replicas=settings.replicas)
        beside = [link.watch_over()]
        if name in rights.SERVICES:
            beside.append(status.keep_fresh())
        async with background_tasks(*beside):
            yield NatsBus(link, settings, status, status_max_age_s)
