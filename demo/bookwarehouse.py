"""The bookwarehouse: restocks the stores and counts the books, in memory."""

import asyncio

from demo import page
from demo.http_server import Request, Response, Routes, as_json, html, listen, text
from demo.process import listen_address, run

PORT = 14001


class Bookwarehouse:
    """The books it delivered, and its pages."""

    def __init__(self) -> None:
        self.books_restocked = 0
        self._deliveries = 0

    def routes(self) -> Routes:
        return {
            ("GET", "/"): self._page,
            ("POST", "/restock-books"): self._restock,
            ("GET", "/raw"): lambda _: as_json(self._document()),
            ("GET", "/reset"): self._reset,
            ("POST", "/reset"): self._reset,
            ("GET", "/healthz"): lambda _: text("ok"),
        }

    def _restock(self, request: Request) -> Response:
        if not (request.body.isdigit() and len(request.body) <= 9):
            return text("the body must be the number of books to restock, a whole number", status=400)
        books = int(request.body)
        self.books_restocked += books
        self._deliveries += 1
        return as_json({"restocked": books})

    def _document(self) -> dict[str, int]:
        return {"books_restocked": self.books_restocked, "deliveries": self._deliveries}

    def _page(self, _: Request) -> Response:
        figures = {"books restocked": self.books_restocked, "deliveries": self._deliveries}
        return html(page.render(title="bookwarehouse", lead="restocks the bookstores", figures=figures, tables={}))

    def _reset(self, _: Request) -> Response:
        self.books_restocked = self._deliveries = 0
        return as_json(self._document())


async def _serve() -> None:
    async with listen(Bookwarehouse().routes(), *listen_address(PORT)):
        await asyncio.Event().wait()


if __name__ == "__main__":
    run("bookwarehouse", _serve())
