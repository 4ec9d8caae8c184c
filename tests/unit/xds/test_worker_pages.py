"""A worker that ends while its page is read is a worker that does not answer: its parent goes on."""

import asyncio
from pathlib import Path

import pytest

from services.xds.worker_pages import Page, read_page


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready", Page(status=200, text="ready")),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Page(status=503, text="")),
        (b"", None),
        (b"HTTP/1.1", None),
        (b"HTTP/1.1 what\r\n\r\n", None),
        ("HTTP/1.1 200 OK\r\n\r\nmemory → ".encode()[:-2], None),
    ],
)
async def test_what_is_no_whole_page_is_no_answer(tmp_path: Path, said: bytes, read: Page | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    socket = tmp_path / "http"
    async with await asyncio.start_unix_server(serve, socket):
        assert await read_page(socket, "/metrics") == read
    assert await read_page(tmp_path / "nobody", "/metrics") is None
