"""A shopper: buys books from the bookstore without end, and shows what came of it.

The bookbuyer and the bookthief are the same program under two names, as they send the same requests:
what tells them apart is the identity their pods run as, and nothing they say of themselves.
"""

import asyncio
import logging
import os
import sys
import time

from demo import burst, page
from demo.burst import Refusal
from demo.http_client import HttpClient, NoAnswerError
from demo.http_server import Request, Response, Routes, as_json, html, listen, text
from demo.outcomes import News, Outcome, Tally, summarise
from demo.pace import RATE_LIMIT_PER_S, Pace, parse_rate
from demo.process import listen_address, run

BOOKSTORE_URL = "http://bookstore.bookstore.svc.cluster.local:14001"
PORT = 14001
BUY_PATH = "/buy-a-book/new"
COUNT_PATH = "/books-bought"

_EXCERPT_CHARS = 200

log = logging.getLogger(__name__)


class Shopper:
    """The shopper's state, and the one way it sends a request."""

    def __init__(self, name: str, bookstore_url: str, client: HttpClient, pace: Pace) -> None:
        self.name = name
        self.pace = pace
        self._bookstore_url = bookstore_url.rstrip("/")
        self._client = client
        # The user agent that OSM's own demo sends: policies copied from its guides match on it.
        self._headers = {"client-app": name, "user-agent": "Go-http-client/1.1", "accept": "*/*"}
        self._last_result = ""
        self._news = News()
        self._tally = Tally()
        self._books = 0

    async def send(self, path: str) -> Outcome:
        """Send one GET to the bookstore and count what came of it."""
        started = time.perf_counter()
        try:
            answer = await self._client.request("GET", self._bookstore_url + path, self._headers)
        except NoAnswerError as error:
            outcome = Outcome(seconds=time.perf_counter() - started, error=str(error))
        else:
            outcome = Outcome(
                seconds=time.perf_counter() - started,
                status=answer.status,
                identity=answer.headers.get("identity", ""),
                excerpt=answer.body[:_EXCERPT_CHARS].decode(errors="replace").strip(),
            )
        self._count(path, outcome)
        return outcome

    def _count(self, path: str, outcome: Outcome) -> None:
        self._tally.add(outcome)
        self._books += path == BUY_PATH and outcome.succeeded
        self._last_result = outcome.words

    async def shop(self) -> None:
        """Look at the store's count and buy a book, at the current pace, for ever."""
        while True:
            purchases = (self._purchase() for _ in range(self.pace.due(time.monotonic())))
            await asyncio.gather(*purchases)
            await asyncio.sleep(self.pace.pause_s())

    async def _purchase(self) -> None:
        for path in (COUNT_PATH, BUY_PATH):
            outcome = await self.send(path)
            if self._news.is_news(path, outcome.words, time.monotonic()):
                log.info("%s%s now gives: %s", self._bookstore_url, path, outcome.words)

    def routes(self) -> Routes:
        return {
            ("GET", "/"): self._page,
            ("GET", "/raw"): lambda _: as_json(self._document()),
            ("GET", "/healthz"): lambda _: text("ok"),
            ("GET", "/reset"): self._reset,
            ("POST", "/reset"): self._reset,
            ("POST", "/burst"): self._burst,
            ("POST", "/rate"): self._rate,
        }

    def _document(self) -> dict[str, object]:
        return {
            "name": self.name,
            "rate_per_second": self.pace.per_second,
            "books": self._books,
            "requests": self._tally.statuses.total() + self._tally.errors.total(),
            **self._tally.as_document(),
        }

    def _page(self, _: Request) -> Response:
        counts = self._tally.as_document()
        return html(
            page.render(
                title=self.name,
                lead=f"asks {self._bookstore_url} for a book {self.pace.per_second:g} times a second",
                figures={"books": self._books, "last result": self._last_result or "none yet"},
                tables={
                    "Answers by bookstore": counts["identities"],
                    "Answers by status": counts["statuses"],
                    "No answer": counts["errors"],
                },
            )
        )

    def _reset(self, _: Request) -> Response:
        self._tally, self._books = Tally(), 0
        return as_json(self._document())

    async def _burst(self, request: Request) -> Response:
        wanted = burst.parse(request.query)
        if isinstance(wanted, Refusal):
            return text(wanted.why, status=400)
        summary = summarise(await burst.perform(wanted, self.send))
        log.info("burst of %d to %s: %s", wanted.requests, wanted.path, summary["statuses"])
        return as_json(summary)

    def _rate(self, request: Request) -> Response:
        given = request.query.get("per_second", "")
        rate = parse_rate(given)
        if rate is None:
            sentence = f"per_second is {given!r}; it must be a number from 0 to {RATE_LIMIT_PER_S:g}"
            return text(sentence, status=400)
        self.pace.change(rate, time.monotonic())
        return as_json({"per_second": rate})


def main(name: str) -> None:
    """Run a shopper called `name`; variables: BOOKSTORE_URL, RATE (purchases per second)."""
    given = os.environ.get("RATE", "5")
    rate = parse_rate(given)
    if rate is None:
        sys.exit(f"{name}: RATE is {given!r}; it must be a number from 0 to {RATE_LIMIT_PER_S:g}")
    pace = Pace(rate, time.monotonic())
    run(name, _serve(name, os.environ.get("BOOKSTORE_URL") or BOOKSTORE_URL, pace))


async def _serve(name: str, bookstore_url: str, pace: Pace) -> None:
    async with HttpClient() as client:
        shopper = Shopper(name, bookstore_url, client, pace)
        async with listen(shopper.routes(), *listen_address(PORT)):
            await shopper.shop()
