import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import pytest

from demo.http_client import HttpClient, NoAnswerError, Peer, proxy_for
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


async def exchange(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    received = await reader.read()
    writer.close()
    return received


async def test_one_connection_serves_several_requests(port: int) -> None:
    received = await exchange(port, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" * 3)
    assert received.count(b"HTTP/1.1 200") == 3


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n", b"HTTP/1.1 404"),
        (b"DELETE / HTTP/1.1\r\nhost: a\r\n\r\n", b"HTTP/1.1 405"),
        (b"not http\r\n\r\n", b"HTTP/1.1 400"),
        (
            b"POST /say HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % (BODY_LIMIT_BYTES + 1)
            + b"x" * (BODY_LIMIT_BYTES + 1),
            b"HTTP/1.1 413",
        ),
    ],
)
async def test_what_cannot_be_served_is_answered_with_its_status(port: int, sent: bytes, status: bytes) -> None:
    assert (await exchange(port, sent)).startswith(status)


async def test_a_client_that_asks_first_is_told_to_go_on(port: int) -> None:
    head = b"POST /say HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    assert b"100" in await reader.readline()
    writer.write(b"hi")
    writer.write_eof()
    assert b"hi" in await reader.read()
    writer.close()


async def test_a_proxy_is_sent_the_absolute_url_and_keeps_its_connection() -> None:
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
        client = HttpClient({"HTTP_PROXY": f"http://127.0.0.1:{port}"})
        for _ in range(2):
            assert (await client.request("GET", url)).status == 200
        client.close()
    assert lines == [f"GET {url} HTTP/1.1", "host: bookstore.bookstore.svc.cluster.local:14001"] * 2
    assert connections == [1]
    assert client.via(url) == f"proxy 127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"HTTP_PROXY": "http://127.0.0.1:15001"}, Peer("127.0.0.1", 15001)),
        ({"http_proxy": "127.0.0.1:15001"}, Peer("127.0.0.1", 15001)),
        ({"http_proxy": "http://a:1", "HTTP_PROXY": "http://b:2"}, Peer("a", 1)),
        ({"http_proxy": "http://a:1", "no_proxy": "localhost, .svc"}, None),
        ({"http_proxy": "http://a:1", "NO_PROXY": "*"}, None),
        ({"http_proxy": "http://a:1", "no_proxy": "kstore.svc"}, Peer("a", 1)),
    ],
)
def test_the_proxy_is_the_one_the_variables_name(environ: dict[str, str], expected: Peer | None) -> None:
    assert proxy_for("bookstore.svc", environ) == expected


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
    async with serving(serve) as port:
        client = HttpClient({})
        for _ in range(2):
            with suppress(NoAnswerError):
                await client.request(method, f"http://127.0.0.1:{port}/")
                answers += 1
        client.close()
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

    async with serving(serve) as port:
        with pytest.raises(NoAnswerError) as caught:
            await HttpClient({}).request("GET", f"http://127.0.0.1:{port}/")
    return str(caught.value)


async def test_why_there_is_no_answer_is_said_in_a_few_words() -> None:
    assert await hang_up_after(b"") == "connection closed before the answer"
    assert (await hang_up_after(b"SSH-2.0\r\n\r\n")).startswith("not an HTTP answer: ")
    half = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"
    assert (await hang_up_after(half)).startswith("not an HTTP answer: peer closed connection")
