"""One gRPC stream from its first request to its end: one reader, one writer.

It moves bytes between gRPC and the engine, and turns what the peer does wrong into a status that says so. A peer can
end its own stream only. It decides nothing about resources.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final, TypeAlias

import grpc
import msgspec
from grpc import aio

from osm.ads.admission import NoRoom
from osm.ads.ending import BY_THE_PROXY, CANCELLED, Ending, Kind
from osm.ads.engine import Engine
from osm.ads.methods import Method
from osm.ads.peer import Authorize, Denied, Observer, Peer, StreamInfo
from osm.ads.stream import LimitExceeded
from osm.ads.subscription import Acked
from osm.ads.wire import Request, UndecodableRequest, decode_delta, decode_sotw

Context: TypeAlias = "aio.ServicerContext[bytes, bytes]"

FIRST_REQUEST_DEADLINE_S = 15.0
"""A stream that says nothing for so long is closed; Envoy's first request follows at once."""

OLDER_STREAM_PATIENCE_S = 3.0
"""How long a stream may owe an answer once its proxy has opened a newer one. Envoy has one stream at a time, so the
older is most likely on a connection that broke unnoticed; keepalive would notice that up to 80 s later. Who answers may
stay: an operator may look on with the proxy's certificate."""


CODES: Final[Mapping[Kind, grpc.StatusCode]] = {
    "closed": grpc.StatusCode.OK,
    "cancelled": grpc.StatusCode.CANCELLED,
    "aged": grpc.StatusCode.UNAVAILABLE,
    "stopping": grpc.StatusCode.UNAVAILABLE,
    "replaced": grpc.StatusCode.ABORTED,
    "expired": grpc.StatusCode.UNAUTHENTICATED,
    "unread": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "silent": grpc.StatusCode.DEADLINE_EXCEEDED,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "excess": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "no_room": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "denied": grpc.StatusCode.PERMISSION_DENIED,
}
"""What the peer is told. UNAVAILABLE: come back at once, to whoever listens."""

AGE_JITTER = 0.1
"""A tenth more or less: streams that began together do not end together."""


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What every conversation needs of its server.

    `turn` waits for the stream's turn to start, or raises NoRoom; `admitted` is told that it has started; `cut` shuts a
    peer's connection down.
    """

    engine: Engine
    authorize: Authorize
    observer: Observer
    turn: Callable[[], Awaitable[None]]
    admitted: Callable[["GrpcStream"], None]
    cut: Callable[[str], object]
    write_deadline_s: float
    max_age_s: float | None


class GrpcStream:
    """A stream being served. The server's watch asks it how it is and may end it."""

    def __init__(self, context: Context, method: Method, desk: Desk) -> None:
        self._context = context
        self._peer = peer_of(context)  # first: it may raise, and what is opened below must be closed
        self._method = method
        self._desk = desk
        self._decode = decode_delta if method.is_delta else decode_sotw
        self._clock = asyncio.get_running_loop().time
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._news = asyncio.Event()
        self._session = desk.engine.open(method.variant, self._news.set)
        self._writing_since: float | None = None
        self._speaks_by = self._clock() + FIRST_REQUEST_DEADLINE_S
        self._ends_at = self._clock() + _life_s(desk.max_age_s)
        self._info: StreamInfo | None = None
        self._has_left = False
        self._has_newer = False
        self._owes_since: float | None = None

    async def run(self) -> None:
        """Serve the stream to its end.

        Reader and writer are not cancelled but come to their end: gRPC takes no status while a response is under way,
        and loses memory when a read is cancelled. A peer that does not read has left the engine long before.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read())
                writer = tasks.create_task(self._write())
                ending = await self._ended
                if self._info is None and ending.kind not in BY_THE_PROXY:
                    self._desk.engine.tally.turned_away[ending.kind] += 1
                    self._desk.observer.turned_away(self._context.peer(), ending.reason)
                self._leave(ending)
                self._news.set()
                await writer
                await self._tell(ending)
        finally:
            self._leave(CANCELLED)

    @property
    def whose(self) -> tuple[str, ...] | None:
        """The proxy that needs no other stream beside this one: proven by its certificate, and admitted.

        None for a stream of one type: a proxy has one for each type then, and Envoy one for each secret or route.
        """
        if self._info is None or self._peer is None or not self._peer.uris or self._method.only_type is not None:
            return None
        return self._info.node_id, *self._peer.uris

    def outlived(self) -> None:
        """Its proxy has opened a newer stream."""
        self._has_newer = True

    def gone(self) -> None:
        """The call is over, by the peer or with the connection: what is being read or written ends by itself."""
        self.end(CANCELLED.kind, CANCELLED.reason)

    def end(self, kind: Kind, reason: str) -> None:
        """End the stream like this; the first caller's word counts."""
        if not self._ended.done():
            self._ended.set_result(Ending(kind=kind, reason=reason))

    def check(self, wall_clock: datetime) -> None:
        """End the stream if it is silent, old, its certificate expired or its peer does not read; wake it if it waited.

        A peer that does not read would not read how its stream ended either, so its connection is cut.
        """
        now = self._clock()
        if self._writing_since is not None and now - self._writing_since > self._desk.write_deadline_s:
            reason = f"the proxy has not read a response for {self._desk.write_deadline_s:g} s"
            self.end("unread", reason)
            self._desk.cut(self._context.peer())
        elif self._peer is not None and self._peer.not_after <= wall_clock:
            end = self._peer.not_after.isoformat()
            self.end("expired", f"the client certificate expired at {end}")
        elif self._has_newer and self._has_owed_s(now) >= OLDER_STREAM_PATIENCE_S:
            self.end("replaced", "the proxy has opened another stream and answers no more on this one")
        elif now >= self._speaks_by:
            self.end("silent", f"no request within {FIRST_REQUEST_DEADLINE_S:g} s")
        elif now >= self._ends_at:
            self.end("aged", "the stream has reached its age; come back, to any replica")
        elif self._session.stream.is_waiting:
            self._news.set()

    def _has_owed_s(self, now: float) -> float:
        if not self._desk.engine.is_behind(self._session.id):
            self._owes_since = None
        elif self._owes_since is None:
            self._owes_since = now
        return 0.0 if self._owes_since is None else now - self._owes_since

    def _leave(self, ending: Ending) -> None:
        if self._has_left:
            return
        self._has_left = True
        self._desk.engine.close(self._session)
        if self._info is not None:
            self._desk.engine.tally.ended[ending.kind] += 1
            self._desk.observer.disconnected(self._info, ending.reason)

    async def _tell(self, ending: Ending) -> None:
        if ending.kind in BY_THE_PROXY:
            return
        try:
            await self._context.abort(CODES[ending.kind], ending.reason)
        except aio.BaseError:  # gRPC's way to say that the stream has ended, by us or before
            return

    async def _read(self) -> None:
        try:
            data: object = await self._context.read()
            self._speaks_by = float("inf")
            if isinstance(data, bytes):  # else it is gRPC's end-of-stream marker
                await self._admit(self._parse(data))
            while isinstance(data, bytes) and not self._ended.done():
                self._take(self._parse(data))
                data = await self._context.read()
            self.end("closed", "the proxy closed the stream")
        except (UndecodableRequest, _Misaddressed) as error:
            self.end("invalid", str(error))
        except LimitExceeded as error:
            self.end("excess", str(error))
        except NoRoom as error:
            self.end("no_room", str(error))
        except Denied as error:
            self.end("denied", str(error))
        except aio.BaseError:
            self.gone()

    async def _write(self) -> None:
        try:
            while not self._ended.done():
                await self._news.wait()
                self._news.clear()
                while (response := self._next_response()) is not None:
                    self._writing_since = self._clock()
                    await self._context.write(response)
                    self._writing_since = None
                    if not self._session.stream.has_work:
                        break
        except aio.BaseError:
            self.gone()

    def _next_response(self) -> bytes | None:
        if self._ended.done():
            return None
        return self._desk.engine.next_response(self._session, self._clock())

    def _parse(self, data: bytes) -> Request:
        request = self._decode(data)
        only = self._method.only_type
        if only is None:
            if not request.type_url:
                raise _Misaddressed("type_url is empty; the aggregated service needs it in every request")
            return request
        if request.type_url not in ("", only):
            raise _Misaddressed(f"type_url is {request.type_url!r}; {self._method.name} serves {only!r} only")
        return msgspec.structs.replace(request, type_url=only)

    async def _admit(self, first: Request) -> None:
        """The first request names the node; later ones need not."""
        if not first.node_id:
            raise _Misaddressed("node.id is empty in the first request; the bootstrap must set it")
        await self._turn()
        if self._ended.done():
            return
        group = self._desk.authorize(self._peer, first.node_id)
        self._info = StreamInfo(
            id=self._session.id, node_id=first.node_id, address=self._context.peer(), peer=self._peer
        )
        self._desk.observer.connected(self._info)
        self._desk.engine.move(self._session.id, group)
        self._desk.admitted(self)

    async def _turn(self) -> None:
        """Wait for it, or for the stream's end. Raises NoRoom."""
        turn = asyncio.ensure_future(self._desk.turn())
        await asyncio.wait((turn, self._ended), return_when=asyncio.FIRST_COMPLETED)
        if turn.done():
            turn.result()
        else:
            turn.cancel()

    def _take(self, request: Request) -> None:
        answer = self._desk.engine.receive(self._session, request)
        if answer is None:
            return
        assert self._info is not None, "only admitted streams get here"
        if isinstance(answer, Acked):
            self._desk.observer.acked(self._info, request.type_url)
        else:
            self._desk.observer.rejected(self._info, request.type_url, answer.guilty, answer.detail)


class _Misaddressed(Exception):
    """A well-formed request that this method cannot take."""


def _life_s(max_age_s: float | None) -> float:
    if max_age_s is None:
        return float("inf")
    return max_age_s * random.uniform(1 - AGE_JITTER, 1 + AGE_JITTER)  # noqa: S311  # spreads load, hides nothing


def peer_of(context: Context) -> Peer | None:
    """Who is at the other end; raises `ValueError` when what it shows is no certificate."""
    certificates = context.auth_context().get("x509_pem_cert", ())
    for certificate in certificates:
        return Peer.from_pem(certificate)
    return None
