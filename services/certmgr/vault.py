"""HashiCorp Vault as the authority: its PKI engine signs our requests over its HTTP API.

The only place that speaks to Vault. It uses `sign/<role>`, not OSM's `issue/<role>`, where Vault makes the private key
and sends it; here no key travels. It logs in with a token that somebody else has got (an operator, a Vault agent), and
renews it while it can be renewed. What Vault answers is not judged: `elsewhere` does that.
"""

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import aiohttp
import msgspec
import structlog
from msgspec import Struct

from osm.bus.background_tasks import background_tasks
from osm.pki.files import LooseMode, read_secret
from osm.pki.keys import csr_pem
from services.certmgr.decide import Order
from services.certmgr.issuer import IssuerEnded, IssuerUnavailable
from services.certmgr.verified import MAX_PEM_CHARS

RENEW_AT_SHARE = 0.5
"""Of what a token has left: half of it remains for a Vault that is away."""

LONGEST_NAP_S = 300.0
"""A token file that was replaced is noticed within this, so that its renewal begins."""

AGAIN_S = 30.0
"""After a renewal that failed; half of it is jitter."""

MAX_ANSWER_BYTES = 4 * MAX_PEM_CHARS

_REFUSED = frozenset({400, 404, 405, 422})
"""A role or a mount that is not there, or a role that does not allow what was asked: until somebody changes it."""

_EXCERPT_CHARS = 300

log = structlog.get_logger()


class Dial(Struct, frozen=True, kw_only=True):
    """Where Vault is and what is asked there. The token lies in a file, which may be replaced at any time."""

    address: str
    mount: str
    role: str
    proxy_role: str
    token_file: str
    namespace: str = ""
    ca_file: str = ""


class _Signed(Struct, frozen=True):
    certificate: str
    issuing_ca: str = ""
    ca_chain: tuple[str, ...] | None = None


class _SignAnswer(Struct, frozen=True):
    data: _Signed


class _Token(Struct, frozen=True):
    """`ttl` is seconds; 0 is a token that never ends."""

    renewable: bool = False
    ttl: int = 0


class _LookupAnswer(Struct, frozen=True):
    data: _Token


class _Errors(Struct, frozen=True):
    errors: tuple[str, ...] = ()


class Vault:
    """One mount of one server; open it with `opened`."""

    def __init__(self, dial: Dial, http: aiohttp.ClientSession) -> None:
        self.place = f"Vault {dial.address} ({dial.mount})"
        self._dial = dial
        self._http = http

    async def roots(self) -> str:
        """The chain of the mount's issuer, or its certificate if the mount knows no chain: a root signs by itself."""
        chain = (await self._ask("GET", f"{self._dial.mount}/ca_chain")).decode(errors="replace")
        if "BEGIN CERTIFICATE" in chain:
            return chain
        return (await self._ask("GET", f"{self._dial.mount}/ca/pem")).decode(errors="replace")

    async def sign(self, order: Order) -> str:
        """The names are in the request, and again beside it for roles with `use_csr_sans=false`."""
        role = self._dial.role if order.profile.server else self._dial.proxy_role
        body = {
            "csr": csr_pem(order.csr),
            "format": "pem",
            "ttl": f"{order.lifetime_s}s",
            "uri_sans": order.profile.uri,
            "alt_names": ",".join(order.profile.dns_names),
        }
        answer = await self._ask("POST", f"{self._dial.mount}/sign/{role}", body)
        try:
            signed = msgspec.json.decode(answer, type=_SignAnswer).data
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise IssuerUnavailable(f"{self.place}: the answer to sign/{role} is none: {error}") from error
        above = signed.ca_chain or ((signed.issuing_ca,) if signed.issuing_ca else ())
        return "\n".join((signed.certificate, *above))

    async def keep_token(self) -> NoReturn:
        """Endless: renew the token at half of its life, if it has an end and may be renewed."""
        while True:
            try:
                pause_s = await self._renewed()
            except (IssuerUnavailable, IssuerEnded) as error:
                log.warning("Vault token not renewed", why=str(error))
                pause_s = AGAIN_S * (0.5 + random.random() / 2)  # noqa: S311  # jitter
            await asyncio.sleep(pause_s)

    async def _renewed(self) -> float:
        """Renew the token if it is due; when to look again, in seconds."""
        token = await self._token()
        if not token.ttl or not token.renewable:
            return LONGEST_NAP_S
        await self._ask("POST", "auth/token/renew-self", {})
        renewed = await self._token()
        log.debug("Vault token renewed", ttl_s=renewed.ttl)
        return max(1.0, min(LONGEST_NAP_S, renewed.ttl * RENEW_AT_SHARE))

    async def _token(self) -> _Token:
        answer = await self._ask("GET", "auth/token/lookup-self")
        try:
            return msgspec.json.decode(answer, type=_LookupAnswer).data
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise IssuerUnavailable(f"{self.place}: the answer to lookup-self is none: {error}") from error

    async def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> bytes:
        """Raises IssuerUnavailable, IssuerEnded. No answer and no error quotes the token."""
        try:
            headers = {"X-Vault-Request": "true", "X-Vault-Token": await self._read_token()}
            if self._dial.namespace:
                headers["X-Vault-Namespace"] = self._dial.namespace
            url = f"{self._dial.address}/v1/{path}"
            async with self._http.request(method, url, json=body, headers=headers, allow_redirects=False) as answer:
                said = await answer.content.read(MAX_ANSWER_BYTES)
                status = answer.status
        except (OSError, LooseMode, UnicodeDecodeError, aiohttp.ClientError, TimeoutError) as error:
            raise IssuerUnavailable(f"{self.place}: {error or type(error).__name__}") from error
        if status in {200, 204}:
            return said
        why = f"{self.place}: {method} {path}: {_words(status, said)}"
        raise IssuerEnded(why) if status in _REFUSED else IssuerUnavailable(why)

    async def _read_token(self) -> str:
        token = await asyncio.to_thread(read_secret, Path(self._dial.token_file))
        return token.decode("ascii").strip()


def _words(status: int, said: bytes) -> str:
    """Vault's own, with what is meant by those that say little."""
    try:
        told = "; ".join(msgspec.json.decode(said, type=_Errors).errors)
    except (msgspec.DecodeError, msgspec.ValidationError):
        told = said.decode(errors="replace")
    hint = {403: "the token has ended, or its policy does not allow this", 503: "sealed, or not ready"}.get(status, "")
    return " ".join(" ".join(filter(None, (str(status), told[:_EXCERPT_CHARS], hint and f"({hint})"))).split())


@asynccontextmanager
async def opened(dial: Dial, timeout_s: float) -> AsyncIterator[Vault]:
    """Keeps the token fresh while the context is open. Raises OSError, ssl.SSLError for a trust file that is none."""
    tls = await asyncio.to_thread(ssl.create_default_context, cafile=dial.ca_file or None)
    connector = aiohttp.TCPConnector(ssl=tls)
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as http:
        vault = Vault(dial, http)
        async with background_tasks(vault.keep_token()):
            yield vault
