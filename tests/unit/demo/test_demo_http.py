import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import pytest

from demo.http_client import HttpClient, NoAnswerError
from demo.http_server import BODY_LIMIT_BYTES, listen, text

ROUTES = {("GET", "/"): lambda _: text("ok"), ("POST", "/say"): lambda request: text(request.body.decode())}


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with listen(ROUTES, "127.0.0.1", 0) as bound:
        yield bound


Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]]


@asynccontextmanager
async def serving(converse: Converse) -> AsyncIterator[int]:
    """Serve by hand, and wait for every conversation to end."""
    async with asyncio.TaskGroup() as conversations:

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            conversations.create_task(converse(reader, writer))

        server = await asyncio.start_server(begin, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()[1]
        server.close()
    await asyncio.sleep(0)  # sockets close in the loop's next round


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/", b"", 200),
        ("POST", "/say", b"hi", 200),
        ("GET", "/nowhere", b"", 404),
        ("DELETE", "/", b"", 405),
        ("POST", "/say", b"x" * (BODY_LIMIT_BYTES + 1), 413),
    ],
)
async def test_every_request_is_answered_with_its_status(
    port: int, method: str, path: str, body: bytes, status: int
) -> None:
    async with HttpClient() as client:
        assert (await client.request(method, f"http://127.0.0.1:{port}{path}", body=body)).status == status


async def test_a_proxy_is_sent_the_absolute_url_and_keeps_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    connections: list[int] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        while head := await reader.readuntil(b"\r\n\r\n"):
            lines.extend(head.decode().split("\r\n")[:2])
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            if len(lines) == 4:
                break
        writer.close()

    url = "http://bookstore.bookstore.svc.cluster.local:14001/raw?a=b"
    async with serving(proxy) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        async with HttpClient() as client:
            for _ in range(2):
                assert (await client.request("GET", url)).status == 200
    assert lines == [f"GET {url} HTTP/1.1", "Host: bookstore.bookstore.svc.cluster.local:14001"] * 2
    assert connections == [1]


@pytest.mark.parametrize(
    ("environ", "way"),
    [
        ({}, "direct"),
        ({"HTTP_PROXY": "http://127.0.0.1:15001"}, "proxy 127.0.0.1:15001"),
        ({"http_proxy": "http://a:1"}, "proxy a:1"),
        ({"http_proxy": "http://a:1", "no_proxy": "localhost, .svc"}, "direct"),
        ({"http_proxy": "http://a:1", "NO_PROXY": "*"}, "direct"),
    ],
)
def test_the_proxy_is_the_one_the_variables_name(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], way: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert HttpClient().via("http://bookstore.svc/") == way


async def hang_up_after_first_answer(method: str) -> tuple[int, int]:
    """Ask twice a server that hangs up in answer to every second request; return (connections, answers)."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await reader.read(1)
        writer.transport.abort()

    answers = 0
    async with serving(serve) as port, HttpClient() as client:
        for _ in range(2):
            with suppress(NoAnswerError):
                await client.request(method, f"http://127.0.0.1:{port}/")
                answers += 1
    return connections, answers


async def test_a_get_on_a_connection_that_was_closed_is_sent_once_more() -> None:
    assert await hang_up_after_first_answer("GET") == (2, 2)


async def test_a_post_on_a_connection_that_was_closed_is_not_repeated() -> None:
    assert await hang_up_after_first_answer("POST") == (1, 1)


async def hang_up_after(sent: bytes) -> str:
    """Ask a server that answers with `sent` and hangs up; return how the client puts it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    async with serving(serve) as port, HttpClient() as client:
        with pytest.raises(NoAnswerError) as caught:
            await client.request("GET", f"http://127.0.0.1:{port}/")
    return str(caught.value)


async def test_why_there_is_no_answer_is_said_in_a_few_words() -> None:
    assert await hang_up_after(b"") == "connection closed before the answer"
    assert (await hang_up_after(b"SSH-2.0\r\n\r\n")).startswith("not an HTTP answer: ")
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"
    assert (await hang_up_after(half)).startswith("not an HTTP answer: ")
