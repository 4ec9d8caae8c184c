"""A request straight to a sidecar's inbound port, as an attacker on the network would make.

Whatever the server's certificate says is accepted here: the question is what the *server* lets in.
"""

import asyncio
import ssl
import tempfile
from pathlib import Path

import h11
from msgspec import Struct

from osm.contracts.names import Address, ServiceName

SIDECAR_ALPN = "osm"
_TIMEOUT_S = 15.0


class Credential(Struct, frozen=True, kw_only=True):
    """A certificate chain and its key, PEM."""

    chain_pem: bytes
    key_pem: bytes

    def __repr__(self) -> str:
        return "Credential(…)"


class Reply(Struct, frozen=True, kw_only=True):
    """`status` is None if no HTTP answer came; `why` then says how the connection ended."""

    status: int | None = None
    why: str = ""


async def ask_tls(address: Address, service: ServiceName, path: str, credential: Credential | None) -> Reply:
    """One GET over TLS as a sidecar would send it, with this certificate or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([SIDECAR_ALPN])
    if credential is not None:
        _load(context, credential)
    return await _ask(address, service, path, context)


async def ask_plain(address: Address, service: ServiceName, path: str) -> Reply:
    """One GET without TLS."""
    return await _ask(address, service, path, None)


async def _ask(address: Address, service: ServiceName, path: str, context: ssl.SSLContext | None) -> Reply:
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(
                address.host, address.port, ssl=context, server_hostname=service.fqdn if context else None
            )
            try:
                return await _exchange(reader, writer, service, path)
            finally:
                writer.close()
    except TimeoutError:
        return Reply(why=f"no answer within {_TIMEOUT_S:g} s")
    except (OSError, h11.RemoteProtocolError) as error:
        return Reply(why=str(error) or type(error).__name__)


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, service: ServiceName, path: str
) -> Reply:
    http = h11.Connection(h11.CLIENT)
    request = h11.Request(method="GET", target=path, headers=[("host", service.fqdn), ("connection", "close")])
    writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
    while True:
        event = http.next_event()
        if isinstance(event, h11.Response):
            return Reply(status=event.status_code)
        if isinstance(event, h11.ConnectionClosed):
            return Reply(why="the connection was closed without an answer")
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))


def _load(context: ssl.SSLContext, credential: Credential) -> None:
    """OpenSSL reads files only; this one is 0600 and gone at once."""
    with tempfile.NamedTemporaryFile(prefix="osm-", suffix=".pem") as file:
        file.write(credential.chain_pem + b"\n" + credential.key_pem)
        file.flush()
        context.load_cert_chain(Path(file.name))
