"""The bookstore: sells books, says which version of the store it is, and has the warehouse restock.

Runs as bookstore-v1 and bookstore-v2, between which a TrafficSplit divides the buyers.
Variables: IDENTITY, BOOKWAREHOUSE_URL.
"""

import asyncio
import os
from collections import Counter

from demo import page
from demo.http_client import HttpClient
from demo.http_server import Request, Response, Routes, as_json, html, listen, text
from demo.process import listen_address, run
from demo.restock import Restocker

BOOKWAREHOUSE_URL = "http://bookwarehouse.bookwarehouse.svc.cluster.local:14001/restock-books"
PORT = 14001

_UNNAMED_CLIENT = "unnamed"
_CLIENTS_LIMIT = 100  # names counted apart; the header is the client's to choose, memory is ours


class Bookstore:
    """What the store sold, to whom, and its pages."""

    def __init__(self, identity: str, restocker: Restocker) -> None:
        self.identity = identity
        self.books_sold = 0
        self._restocker = restocker
        self._requests_by_client: Counter[str] = Counter()

    def routes(self) -> Routes:
        return {
            ("GET", "/"): self._page,
            ("GET", "/books-bought"): self._books_bought,
            ("POST", "/books-bought"): self._set_books_bought,
            ("GET", "/buy-a-book/new"): self._sell,
            ("GET", "/raw"): lambda _: as_json(self._document()),
            ("GET", "/reset"): self._reset,
            ("POST", "/reset"): self._reset,
            ("GET", "/healthz"): lambda _: text("ok"),
            ("GET", "/readiness"): lambda _: text("ok"),
        }

    def _sell(self, request: Request) -> Response:
        self._count(request)
        self.books_sold += 1
        self._restocker.want(1, request.headers)
        return as_json({"bookstore": self.identity, "book": self.books_sold}, headers=self._signature())

    def _books_bought(self, request: Request) -> Response:
        self._count(request)
        return as_json({"bookstore": self.identity, "sold": self.books_sold}, headers=self._signature())

    def _set_books_bought(self, request: Request) -> Response:
        self._count(request)
        if not (request.body.isdigit() and len(request.body) <= 9):
            return text("the body must be the number of books bought, a whole number", status=400)
        self.books_sold = int(request.body)
        return as_json({"bookstore": self.identity, "sold": self.books_sold}, headers=self._signature())

    def _count(self, request: Request) -> None:
        client = request.headers.get("client-app", _UNNAMED_CLIENT)
        if client not in self._requests_by_client and len(self._requests_by_client) >= _CLIENTS_LIMIT:
            client = _UNNAMED_CLIENT
        self._requests_by_client[client] += 1

    def _signature(self) -> tuple[tuple[str, str], ...]:
        return (("Booksbought", str(self.books_sold)), ("Identity", self.identity))

    def _document(self) -> dict[str, object]:
        return {
            "identity": self.identity,
            "books_sold": self.books_sold,
            "requests": self._requests_by_client.total(),
            "requests_by_client": dict(sorted(self._requests_by_client.items())),
            "restocks": self._restocker.as_document(),
        }

    def _page(self, _: Request) -> Response:
        restocks = self._restocker.as_document()
        content = page.render(
            title=self.identity,
            lead="sells books and has the warehouse restock them",
            figures={"books sold": self.books_sold, "books restocked": restocks["delivered_books"]},
            tables={
                "Requests by client": self._requests_by_client,
                "Restocking": {name.replace("_", " "): count for name, count in restocks.items()},
            },
        )
        return html(content, headers=self._signature())

    def _reset(self, _: Request) -> Response:
        self.books_sold = 0
        self._requests_by_client.clear()
        self._restocker.reset()
        return as_json(self._document())


async def _serve() -> None:
    async with HttpClient() as client, asyncio.TaskGroup() as group:
        restocker = Restocker(os.environ.get("BOOKWAREHOUSE_URL") or BOOKWAREHOUSE_URL, client)
        bookstore = Bookstore(os.environ.get("IDENTITY") or "bookstore", restocker)
        async with listen(bookstore.routes(), *listen_address(PORT)):
            await group.create_task(restocker.deliver())


if __name__ == "__main__":
    run(os.environ.get("IDENTITY") or "bookstore", _serve())
