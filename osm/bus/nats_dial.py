"""Opens the NATS client's TCP connection: names looked up without leaving lookups behind, and closed is closed.

Apart from `nats_connection`, which uses it, since this mends what the client and uvloop do between them.
uvloop forgets the lookup of an attempt that is given up, and complains when that fails later; while a cluster's DNS is
not up, each attempt would leave one. And it calls writing to a connection that has just broken a RuntimeError, which
nobody takes for what it is: the client would stop to send, and its caller to live.
"""

import asyncio
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ssl import SSLContext
from urllib.parse import ParseResult

from nats.aio.client import DEFAULT_BUFFER_SIZE, Client, Srv
from nats.aio.transport import TcpTransport

ASK_AGAIN_S = 1.0
"""Until a name that was not known is asked for again: each asking is a dozen questions to a cluster's DNS."""


class Names:
    """Addresses of names. One lookup of a name at a time, however long its resolver takes; the next attempt joins."""

    def __init__(self) -> None:
        self._asking: dict[tuple[str, int], asyncio.Future[Sequence[str]]] = {}
        self._unknown: set[str] = set()

    async def find(self, host: str, port: int, *, within_s: float) -> Sequence[str]:
        """Numeric addresses in the resolver's order. Raises ConnectionError, or TimeoutError: it still looks."""
        asking = self._asking.get((host, port))
        if asking is None:
            if host in self._unknown:
                await asyncio.sleep(ASK_AGAIN_S)
            asking = self._asking[host, port] = asyncio.ensure_future(_addresses(host, port))
        await asyncio.wait((asking,), timeout=within_s)
        if not asking.done():
            raise TimeoutError(f"no address of {host} within {within_s:g} s")
        del self._asking[host, port]
        try:
            found = asking.result()
        except OSError as error:
            self._unknown.add(host)
            raise ConnectionError(f"no address of {host}: {error.strerror or error}") from error
        self._unknown.discard(host)
        return found

    async def close(self) -> None:
        """Nobody waits any more."""
        for asking in self._asking.values():
            asking.cancel()
        await asyncio.gather(*self._asking.values(), return_exceptions=True)


async def _addresses(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


class Wire(TcpTransport):
    """The client's connection, to any address of the server's name."""

    def __init__(self, names: Names) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the client's transports carry no types
        self._names = names

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: float) -> None:
        """Raises OSError: of the last address if none answers."""
        assert uri.hostname is not None
        assert uri.port is not None
        failed: OSError = ConnectionError(f"{uri.hostname} has no address")
        for address in await self._names.find(uri.hostname, uri.port, within_s=connect_timeout):
            at = f"[{address}]:{uri.port}" if ":" in address else f"{address}:{uri.port}"
            try:
                await super().connect(uri._replace(netloc=at), buffer_size, connect_timeout)  # type: ignore[arg-type]  # a float will do
            except TimeoutError:
                failed = TimeoutError(f"{at} does not answer within {connect_timeout:g} s")
            except OSError as error:
                failed = error
            else:
                return
        raise failed

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        with _closed_is_closed():
            await super().connect_tls(uri, ssl_context, buffer_size, connect_timeout)

    def write(self, payload: bytes) -> None:
        with _closed_is_closed():
            super().write(payload)  # type: ignore[no-untyped-call]  # the client's transports carry no types

    def writelines(self, payload: list[bytes]) -> None:
        with _closed_is_closed():
            super().writelines(payload)  # type: ignore[no-untyped-call]  # the client's transports carry no types


@contextmanager
def _closed_is_closed() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ConnectionError("the connection has broken") from error


class DiallingClient(Client):
    """A client whose connections are `Wire`s."""

    def __init__(self) -> None:
        super().__init__()
        self.names = Names()

    async def _connect_to_server(self, s: Srv) -> None:
        """In place of the client's own, which makes a transport of its own kind until one has been connected."""
        s.last_attempt = time.monotonic()
        if not self._transport:
            self._transport = Wire(self.names)
        await self._transport.connect(s.uri, DEFAULT_BUFFER_SIZE, self.options["connect_timeout"])
