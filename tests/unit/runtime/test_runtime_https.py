"""JSON over HTTPS: what is bounded, what is refused, and a certificate that is replaced while it is served."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from osm.contracts.names import INJECTOR_IDENTITY
from osm.contracts.trust import ControlPlane
from osm.pki import issuing
from osm.pki.keys import key_pem, make_key
from osm.pki.reading import chain_pem
from osm.runtime import https
from osm.runtime.https import Malformed, ServerCertificate, serve_https
from osm.runtime.settings import BadSetting

SETTING = "OSM_INJECTOR_LISTEN"


class Authority:
    """A root, and certificates for localhost by it."""

    def __init__(self) -> None:
        self._key = make_key()
        self._root = issuing.make_root(
            self._key, trust_domain="cluster.local", now_s=time.time(), lifetime_s=7200, serial=1
        )
        self.trust = ssl.create_default_context(cadata=chain_pem([self._root]))

    def put(self, certificate: ServerCertificate, serial: int) -> None:
        key = make_key()
        leaf = issuing.sign(
            issuing.profile_of(ControlPlane(identity=INJECTOR_IDENTITY, dns_names=("localhost",)), "cluster.local"),
            key.public_key(),
            issuer=self._root,
            issuer_key=self._key,
            now_s=time.time(),
            lifetime_s=3600,
            serial=serial,
        )
        certificate.put(key_pem=key_pem(key).decode(), chain_pem=chain_pem([leaf]))


async def upper(body: bytes) -> bytes:
    if body == b"bad":
        raise Malformed("expected good, found bad")
    return body.upper()


@asynccontextmanager
async def served(authority: Authority, at_once: int = 4, answer=upper) -> AsyncIterator[tuple[str, ServerCertificate]]:
    certificate = ServerCertificate()
    authority.put(certificate, 2)
    posts = {"/upper": answer}
    async with serve_https(SETTING, "127.0.0.1:0", certificate, posts, max_body_bytes=1000, at_once=at_once) as where:
        yield f"https://localhost:{where.rpartition(':')[2]}", certificate


async def post(authority: Authority, url: str, body: bytes, content_type: str = "application/json") -> httpx.Response:
    async with httpx.AsyncClient(verify=authority.trust, timeout=30) as client:
        return await client.post(url, content=body, headers={"content-type": content_type})


async def test_a_post_is_answered() -> None:
    authority = Authority()
    async with served(authority) as (url, _):
        found = await post(authority, f"{url}/upper", b"abc", "application/json; charset=utf-8")
    assert (found.status_code, found.content, found.headers["content-type"]) == (200, b"ABC", "application/json")


@pytest.mark.parametrize(
    ("path", "body", "content_type", "status", "said"),
    [
        ("/upper", b"bad", "application/json", 400, "expected good, found bad\n"),
        ("/upper", b"abc", "text/plain", 415, "expected a body of application/json, found text/plain\n"),
        ("/upper", b"a" * 1001, "application/json", 413, None),
        ("/other", b"abc", "application/json", 404, None),
    ],
)
async def test_what_is_not_asked_for_is_refused(
    path: str, body: bytes, content_type: str, status: int, said: str | None
) -> None:
    authority = Authority()
    async with served(authority) as (url, _):
        found = await post(authority, url + path, body, content_type)
    assert found.status_code == status
    assert said is None or found.text == said


async def test_nothing_is_read_by_get() -> None:
    authority = Authority()
    async with served(authority) as (url, _), httpx.AsyncClient(verify=authority.trust, timeout=30) as client:
        assert (await client.get(f"{url}/upper")).status_code == 405


async def test_more_than_fit_wait_for_their_turn() -> None:
    authority = Authority()
    working, most, enough = 0, 0, asyncio.Event()

    async def slow(body: bytes) -> bytes:
        nonlocal working, most
        working += 1
        most = max(most, working)
        if working == 2:
            enough.set()
        await enough.wait()
        await asyncio.sleep(0)
        working -= 1
        return body

    async with served(authority, at_once=2, answer=slow) as (url, _):
        found = await asyncio.gather(*(post(authority, f"{url}/upper", b"{}") for _ in range(6)))
    assert [each.status_code for each in found] == [200] * 6
    assert most == 2


@asynccontextmanager
async def begun(authority: Authority, url: str) -> AsyncIterator[asyncio.StreamReader]:
    """A request of which the last byte does not come, and what is answered to it."""
    reader, writer = await asyncio.open_connection("localhost", int(url.rpartition(":")[2]), ssl=authority.trust)
    head = "POST /upper HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 3\r\n\r\n"
    try:
        writer.write(f"{head}ab".encode())
        yield reader
    finally:
        writer.transport.abort()  # the polite end of TLS may last longer than the test


async def test_who_does_not_send_a_whole_request_is_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "READ_WITHIN_S", 0.05)
    authority = Authority()
    async with served(authority) as (url, _), begun(authority, url) as answer, asyncio.timeout(30):
        assert (await answer.readline()).startswith(b"HTTP/1.1 408")


async def test_who_waits_behind_slow_ones_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "READ_AT_ONCE", 1)
    monkeypatch.setattr(https, "READ_WITHIN_S", 3600)
    monkeypatch.setattr(https, "ANSWER_WITHIN_S", 0.2)
    authority = Authority()
    async with served(authority) as (url, _):
        found = []
        async with begun(authority, url):
            while not found or found[-1].status_code == 200:  # until the slow one has taken the place
                found.append(await post(authority, f"{url}/upper", b"abc"))
        assert (found[-1].status_code, found[-1].text) == (503, "too many requests at once for 0.2 s; try again\n")


async def test_an_answer_that_does_not_come_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "ANSWER_WITHIN_S", 0.05)
    authority = Authority()

    async def never(body: bytes) -> bytes:
        await asyncio.Event().wait()
        return body

    async with served(authority, answer=never) as (url, _):
        found = await post(authority, f"{url}/upper", b"abc")
    assert (found.status_code, found.text) == (503, "no answer within 0.05 s; try again\n")


async def test_a_new_certificate_is_shown_to_who_connects_next() -> None:
    old, new = Authority(), Authority()
    async with served(old) as (url, certificate):
        assert (await post(old, f"{url}/upper", b"a")).content == b"A"
        new.put(certificate, 3)
        assert (await post(new, f"{url}/upper", b"b")).content == b"B"
        with pytest.raises(httpx.ConnectError):
            await post(old, f"{url}/upper", b"c")


async def test_where_nobody_can_listen_is_told_by_its_setting() -> None:
    with pytest.raises(BadSetting, match=r"OSM_INJECTOR_LISTEN: found 'nowhere', allowed is host:port$"):
        async with serve_https(SETTING, "nowhere", ServerCertificate(), {}, max_body_bytes=1, at_once=1):
            raise AssertionError("it listens")
