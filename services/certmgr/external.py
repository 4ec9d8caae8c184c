"""The authority behind a plug-in: any program that serves `proto/osm/ca/v1/ca.proto`.

The only place that speaks gRPC here. What the program answers is not judged: `elsewhere` does that.
"""

import json
import stat
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc import aio
from msgspec import Struct

from osm.pki.files import LooseMode, read_secret
from osm.pki.keys import csr_pem
from services.certmgr.decide import Order
from services.certmgr.issuer import IssuerEnded, IssuerUnavailable
from services.certmgr.plugin_messages import (
    PACKAGE,
    SERVICE,
    RootsRequest,
    RootsResponse,
    SignRequest,
    SignResponse,
    Subject,
)
from services.certmgr.verified import MAX_PEM_CHARS

UNIX = "unix:"
CLOSED = 0o077
"""The bits of a socket's mode by which anybody but its owner could speak to it."""

MAX_ANSWER_BYTES = 2 * MAX_PEM_CHARS

_ENDED = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
"""What asking again does not change, as the contract says."""

_AGAIN: Mapping[str, Any] = {
    "methodConfig": [
        {
            "name": [{"service": f"{PACKAGE}.{SERVICE}"}],
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.2s",
                "maxBackoff": "2s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}
"""gRPC's own retries: a program that is restarted is away for a moment."""


class Dial(Struct, frozen=True, kw_only=True):
    """Where the program is: `host:port`, or `unix:/path`; and the files (PEM) that TLS is spoken with."""

    address: str
    trust_domain: str
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    server_name: str = ""


class Plugin:
    """One program; open it with `opened`. Its files are read again when they have changed."""

    def __init__(self, dial: Dial, timeout_s: float) -> None:
        self.place = f"CA plug-in {dial.address}"
        self._dial = dial
        self._timeout_s = timeout_s
        self._made_from: tuple[bytes, ...] | None = None
        self._channel: aio.Channel | None = None

    async def roots(self) -> str:
        answer = await self._ask("Roots", RootsRequest(trust_domain=self._dial.trust_domain), RootsResponse)
        return str(answer.roots_pem)

    async def sign(self, order: Order) -> str:
        profile = order.profile
        subject = Subject(uri=profile.uri, dns_names=profile.dns_names, client=profile.client, server=profile.server)
        request = SignRequest(csr_pem=csr_pem(order.csr), subject=subject, lifetime_s=order.lifetime_s)
        return str((await self._ask("Sign", request, SignResponse)).chain_pem)

    async def close(self) -> None:
        if self._channel is not None:
            await self._channel.close(None)

    async def _ask(self, method: str, request: Any, answer: Any) -> Any:
        """Raises IssuerUnavailable, IssuerEnded."""
        call = (await self._connected()).unary_unary(
            f"/{PACKAGE}.{SERVICE}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return await call(request, timeout=self._timeout_s)
        except aio.AioRpcError as error:
            why = f"{self.place}: {method}: {error.code().name}: {' '.join((error.details() or 'no words').split())}"
            raise (IssuerEnded(why) if error.code() in _ENDED else IssuerUnavailable(why)) from error

    async def _connected(self) -> aio.Channel:
        """The channel, made anew if its files say something else. Raises IssuerUnavailable."""
        try:
            files = self._read()
        except (OSError, LooseMode) as error:
            raise IssuerUnavailable(f"{self.place}: {error}") from error
        if self._channel is None or files != self._made_from:
            old, self._channel = self._channel, self._made(files)
            self._made_from = files
            if old is not None:
                await old.close(grace=self._timeout_s)
        return self._channel

    def _read(self) -> tuple[bytes, ...]:
        """What TLS is spoken with; nothing for a socket that is its owner's alone. Raises OSError, LooseMode."""
        if self._dial.address.startswith(UNIX):
            _require_closed(Path(self._dial.address.removeprefix(UNIX)))
            return ()
        roots = Path(self._dial.ca_file).read_bytes()
        if not self._dial.certificate_file:
            return (roots,)
        return (roots, Path(self._dial.certificate_file).read_bytes(), read_secret(Path(self._dial.key_file)))

    def _made(self, files: tuple[bytes, ...]) -> aio.Channel:
        options: list[tuple[str, str | int]] = [
            ("grpc.service_config", json.dumps(_AGAIN)),
            ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
            ("grpc.enable_http_proxy", 0),  # a variable of the environment must not send requests elsewhere
            ("grpc.max_reconnect_backoff_ms", 5_000),
        ]
        if not files:
            return aio.insecure_channel(self._dial.address, options=options)
        if self._dial.server_name:
            options.append(("grpc.ssl_target_name_override", self._dial.server_name))
        chain, key = files[1:] or (None, None)
        return aio.secure_channel(
            self._dial.address, grpc.ssl_channel_credentials(files[0], key, chain), options=options
        )


def _require_closed(path: Path) -> None:
    """A socket that others could speak on, or serve on, is not one of ours. Raises OSError, LooseMode."""
    found = path.stat()
    if not stat.S_ISSOCK(found.st_mode):
        raise LooseMode(f"{path}: found no socket, allowed is the Unix socket of the plug-in")
    if found.st_mode & CLOSED:
        mode = stat.S_IMODE(found.st_mode)
        raise LooseMode(f"{path}: found mode {mode:04o}, allowed is 0600 or 0700; run: chmod 600 {path}")


@asynccontextmanager
async def opened(dial: Dial, timeout_s: float) -> AsyncIterator[Plugin]:
    """Asks nothing yet: a program that is away is no reason not to start."""
    plugin = Plugin(dial, timeout_s)
    try:
        yield plugin
    finally:
        await plugin.close()
