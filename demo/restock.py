"""Tells the warehouse how many books were sold, beside the sales and never in their way.

Sales coalesce: whatever was sold while one delivery was under way goes into the next one.
What the warehouse did not confirm is sent again, so it counts a sale at least once; above
`PENDING_LIMIT` unconfirmed books further ones are dropped and counted, so memory is bounded.
"""

import asyncio
import logging
from collections.abc import Mapping

from demo.http_client import HttpClient, NoAnswerError

PENDING_LIMIT = 10_000  # books sold during half an hour without a warehouse at the default rate
RETRY_PAUSE_S = 1.0

# Passed on from the sale, so that a trace shows buyer, store and warehouse as one: W3C, B3 and Envoy's own.
TRACE_HEADERS = (
    "b3",
    "traceparent",
    "tracestate",
    "x-b3-flags",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-request-id",
)

log = logging.getLogger(__name__)


class Restocker:
    """Counts books to restock and delivers the count."""

    def __init__(self, url: str, client: HttpClient) -> None:
        self.pending = 0
        self.dropped = 0
        self.delivered_books = 0
        self.succeeded = 0
        self.failed = 0
        self._url = url
        self._client = client
        self._wanted = asyncio.Event()
        self._trace: dict[str, str] = {}
        self._last_result = ""

    def want(self, books: int, headers: Mapping[str, str]) -> None:
        """Note that `books` were sold; `headers` are those of the sale."""
        accepted = min(books, PENDING_LIMIT - self.pending)
        self.pending += accepted
        self.dropped += books - accepted
        self._trace = {name: headers[name] for name in TRACE_HEADERS if name in headers}
        self._wanted.set()

    async def deliver(self) -> None:
        """Deliver what is wanted, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self.pending:
                if not await self.deliver_once():
                    await asyncio.sleep(RETRY_PAUSE_S)

    async def deliver_once(self) -> bool:
        """Send all pending books in one request; False if they were not confirmed."""
        books = self.pending
        try:
            answer = await self._client.request("POST", self._url, self._trace, str(books).encode())
            result = f"status {answer.status}"
        except NoAnswerError as error:
            result = str(error)
        confirmed = result == "status 200"
        if confirmed:
            self.pending -= books
            self.delivered_books += books
        self.succeeded += confirmed
        self.failed += not confirmed
        if result != self._last_result:
            log.info("%s now gives: %s", self._url, result)
            self._last_result = result
        return confirmed

    def reset(self) -> None:
        """Forget the counts; books that are pending stay so."""
        self.dropped = self.delivered_books = self.succeeded = self.failed = 0

    def as_document(self) -> dict[str, int]:
        """Return deliveries (`succeeded`, `failed`) and books (the others)."""
        return {
            "succeeded": self.succeeded,
            "failed": self.failed,
            "delivered_books": self.delivered_books,
            "pending_books": self.pending,
            "dropped_books": self.dropped,
        }
