"""The echo server: returns what it is sent, over HTTP/1.1, WebSocket, HTTP/2, gRPC and plain TCP.

Each protocol has a port of its own, since that is how a Kubernetes Service names protocols. HTTP/2 is
cleartext with prior knowledge: inside a mesh the sidecar does TLS. Answers over HTTP say in the header
`echo-http-version` which version reached the app.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import grpc
from hypercorn.asyncio import serve
from hypercorn.config import Config

from demo.probes import GRPC_METHOD
from demo.process import Address, listen_address, run

HTTP_PORT = 8080
H2C_PORT = 8081
GRPC_PORT = 9090
TCP_PORT = 9000

_READ_BYTES = 64 * 1024
_BODY_LIMIT_BYTES = 1024 * 1024

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

log = logging.getLogger(__name__)


async def http_echo(scope: Event, receive: Receive, send: Send) -> None:
    """Echo over HTTP of either version and over WebSocket; an ASGI application."""
    match scope["type"]:
        case "http":
            await _echo_body(scope, receive, send)
        case "websocket":
            await _echo_messages(receive, send)
        case "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})


async def _echo_body(scope: Event, receive: Receive, send: Send) -> None:
    body, more, status = b"", True, 200
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        body += event.get("body", b"")
        more = event.get("more_body", False)
        if len(body) > _BODY_LIMIT_BYTES:
            body, more, status = b"the body exceeds 1 MiB\n", False, 413
    headers = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(len(body)).encode()),
        (b"echo-http-version", scope["http_version"].encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _echo_messages(receive: Receive, send: Send) -> None:
    await receive()  # websocket.connect
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("text") is not None:
            await send({"type": "websocket.send", "text": event["text"]})
        else:
            await send({"type": "websocket.send", "bytes": event["bytes"]})


async def tcp_echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Return every byte until the client closes its side."""
    try:
        while chunk := await reader.read(_READ_BYTES):
            writer.write(chunk)
            await writer.drain()
    except (ConnectionError, asyncio.CancelledError):
        log.debug("a client hung up, or the server ends")
    finally:
        writer.close()


async def _say(request: bytes, _: object) -> bytes:
    return request


async def _serve_grpc(address: Address) -> None:
    server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    service, method = GRPC_METHOD.strip("/").split("/")
    # Without serializers gRPC hands over the message's bytes as they are, so no schema is needed.
    handlers = {method: grpc.unary_unary_rpc_method_handler(_say)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    try:
        server.add_insecure_port(f"{address.host}:{address.port}")
    except RuntimeError as error:
        raise OSError(f"gRPC cannot listen on {address.host}:{address.port}") from error
    await server.start()
    try:
        await server.wait_for_termination()
    finally:
        await server.stop(grace=None)


async def _serve_http(*addresses: Address) -> None:
    config = Config()
    config.bind = [f"{host}:{port}" for host, port in addresses]
    config.loglevel = "WARNING"
    config.include_server_header = False
    config.graceful_timeout = 0
    # Given a trigger, hypercorn leaves the signals to us; this one never comes, since we cancel instead.
    try:
        await serve(http_echo, config, shutdown_trigger=asyncio.Event().wait)
    except OSError as error:
        raise OSError(f"cannot listen on {' and '.join(config.bind)}: {error.strerror}") from error


async def _serve_tcp(address: Address) -> None:
    server = await asyncio.start_server(tcp_echo, *address)
    try:
        await asyncio.Event().wait()
    finally:
        server.close()


async def _serve() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_serve_http(listen_address(HTTP_PORT), listen_address(H2C_PORT)))
        group.create_task(_serve_grpc(listen_address(GRPC_PORT)))
        group.create_task(_serve_tcp(listen_address(TCP_PORT)))
        log.info("echoing HTTP/1.1 and WebSocket, HTTP/2, gRPC, TCP")


if __name__ == "__main__":
    run("echo-server", _serve())
