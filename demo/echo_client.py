"""The echo client: asked over HTTP, it probes the echo server over one protocol and reports.

`POST /probe?protocol=grpc&n=10` answers with what was sent, what came back and which way it went.
HTTP/1.1 goes to the service's name, through HTTP_PROXY if there is one. The others go to the addresses
in ECHO_WEBSOCKET, ECHO_H2C, ECHO_GRPC and ECHO_TCP where a platform without transparent interception
gives its own, and to the service's name elsewhere.
"""

import asyncio
import logging
import os
from collections.abc import Mapping

from demo.burst import Refusal, whole_number
from demo.http_client import HttpClient
from demo.http_server import Request, Response, Routes, as_json, listen, text
from demo.probes import PROTOCOLS, probe
from demo.process import given, listen_address, run

PORT = 14001
SERVICE = "echo-server.echo.svc.cluster.local"

_MESSAGES_LIMIT = 10_000

log = logging.getLogger(__name__)


def targets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return where the echo server is, by protocol."""
    return {
        "http1": given(environ.get("ECHO_URL"), f"http://{SERVICE}:8080"),
        "websocket": given(environ.get("ECHO_WEBSOCKET"), f"{SERVICE}:8080"),
        "h2c": given(environ.get("ECHO_H2C"), f"{SERVICE}:8081"),
        "grpc": given(environ.get("ECHO_GRPC"), f"{SERVICE}:9090"),
        "tcp": given(environ.get("ECHO_TCP"), f"{SERVICE}:9000"),
    }


class EchoClient:
    """The control endpoint."""

    def __init__(self, where: Mapping[str, str], client: HttpClient) -> None:
        self._targets = where
        self._client = client

    def routes(self) -> Routes:
        return {
            ("GET", "/healthz"): lambda _: text("ok"),
            ("GET", "/raw"): lambda _: as_json({"targets": dict(sorted(self._targets.items()))}),
            ("POST", "/probe"): self._probe,
        }

    async def _probe(self, request: Request) -> Response:
        protocol = request.query.get("protocol", "")
        n = whole_number(request.query, "n", default=1, least=1, most=_MESSAGES_LIMIT)
        if protocol not in PROTOCOLS:
            return text(f"protocol is {protocol!r}; it must be one of {', '.join(PROTOCOLS)}", status=400)
        if isinstance(n, Refusal):
            return text(n.why, status=400)
        report = await probe(protocol, n, self._targets, self._client)
        log.info("%s: %d of %d came back", protocol, report.echoed, report.sent)
        return as_json(report.as_document())


async def _serve() -> None:
    async with (
        HttpClient() as client,
        listen(EchoClient(targets(os.environ), client).routes(), *listen_address(PORT)),
    ):
        await asyncio.Event().wait()


if __name__ == "__main__":
    run("echo-client", _serve())
