"""An app for what `osm.testing.app` leaves out, `https:8443 udp:9999 …`: HTTPS, gRPC health, also with TLS, UDP, and an
authorizer."""

import asyncio
import datetime
import ssl
import sys
import tempfile
from collections.abc import Awaitable, Callable

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NAME = "app.example"
SERVING = b"\x08\x01"
"""HealthCheckResponse: field 1, a varint, SERVING."""
CLOSED = b"/closed"
REFUSED = b"\x0a\x02\x08\x07"
"""CheckResponse: field 1, a Status, whose field 1 is PERMISSION_DENIED. An empty one is OK."""


def credentials() -> tuple[bytes, bytes]:
    """A key, and its own certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    encoding = serialization.Encoding.PEM
    return key.private_bytes(encoding, form, plain), certificate.public_bytes(encoding)


async def https(port: int) -> asyncio.Server:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(credentials()))
        file.flush()
        context.load_cert_chain(file.name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    return await asyncio.start_server(serve, "0.0.0.0", port, ssl=context)


async def health(port: int, *, tls: bool = False) -> grpc.aio.Server:
    async def check(request: bytes, context: object) -> bytes:
        return SERVING

    server = grpc.aio.server()
    method = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("grpc.health.v1.Health", method),))
    if tls:
        server.add_secure_port(f"0.0.0.0:{port}", grpc.ssl_server_credentials([credentials()]))
    else:
        server.add_insecure_port(f"0.0.0.0:{port}")
    await server.start()
    return server


async def authz(port: int) -> grpc.aio.Server:
    """Envoy's ext_authz: what names `CLOSED` anywhere is refused."""

    async def check(request: bytes, context: object) -> bytes:
        return REFUSED if CLOSED in request else b""

    server = grpc.aio.server()
    method = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    handler = grpc.method_handlers_generic_handler("envoy.service.auth.v3.Authorization", method)
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"0.0.0.0:{port}")
    await server.start()
    return server


async def udp(port: int) -> object:
    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # as asyncio does
            self.transport = transport

        def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
            self.transport.sendto(data, sender)

    return await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("0.0.0.0", port))


SPEAKS: dict[str, Callable[[int], Awaitable[object]]] = {
    "https": https,
    "grpc": health,
    "grpcs": lambda port: health(port, tls=True),
    "authz": authz,
    "udp": udp,
}


async def main(arguments: list[str]) -> None:
    serving = []
    for argument in arguments:
        kind, port = argument.split(":")
        serving.append(await SPEAKS[kind](int(port)))
    await asyncio.Event().wait()


asyncio.run(main(sys.argv[1:]))
