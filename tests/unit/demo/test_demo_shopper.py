import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from demo.burst import Burst, parse
from demo.http_client import HttpClient
from demo.http_server import Request, Response, Routes, listen
from demo.outcomes import News, Outcome, summarise
from demo.pace import BACKLOG_LIMIT, Pace
from demo.shopper import Shopper


class TwoStores:
    """Answers in turn as version 1 and 2, and as `status` says."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.seen: list[Request] = []

    def routes(self) -> Routes:
        return {("GET", "/buy-a-book/new"): self._answer, ("GET", "/books-bought"): self._answer}

    def _answer(self, request: Request) -> Response:
        self.seen.append(request)
        identity = f"bookstore-v{1 + len(self.seen) % 2}"
        return Response(status=self.status, body=b"no entry\n", headers=(("Identity", identity),))


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient() as http:
        yield http


@pytest.fixture
async def ui(client: HttpClient) -> AsyncIterator["Ui"]:
    async with AsyncExitStack() as stack:
        yield Ui(client, stack)


class Ui:
    """Starts a store and a paused shopper, and asks the shopper's pages."""

    def __init__(self, client: HttpClient, stack: AsyncExitStack) -> None:
        self.client = client
        self._stack = stack
        self.url = ""

    async def open(self, store: TwoStores) -> None:
        port = await self._stack.enter_async_context(listen(store.routes(), "127.0.0.1", 0))
        await self.open_at(f"http://127.0.0.1:{port}")

    async def open_at(self, bookstore_url: str) -> None:
        shopper = Shopper("bookbuyer", bookstore_url, self.client, Pace(0, 0))
        port = await self._stack.enter_async_context(listen(shopper.routes(), "127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{port}"

    async def post(self, path: str) -> dict[str, object]:
        answer = await self.client.request("POST", self.url + path)
        assert answer.status == 200, answer.body
        result = json.loads(answer.body)
        assert isinstance(result, dict)
        return result


async def test_a_burst_counts_each_request_once_by_status_and_identity(ui: Ui) -> None:
    store = TwoStores()
    await ui.open(store)
    burst = await ui.post("/burst?n=500&concurrency=16")
    assert burst["requests"] == 500
    assert burst["statuses"] == {"200": 500}
    assert burst["identities"] == {"bookstore-v1": 250, "bookstore-v2": 250}
    assert burst["errors"] == {}
    assert burst["first_failures"] == []
    assert len(store.seen) == 500


async def test_a_burst_shows_the_first_refusals_with_their_words(ui: Ui) -> None:
    await ui.open(TwoStores(status=403))
    burst = await ui.post("/burst?n=20&concurrency=1")
    assert burst["statuses"] == {"403": 20}
    failures = burst["first_failures"]
    assert isinstance(failures, list)
    assert failures[0] == {"request": 0, "status": 403, "body": "no entry"}
    assert len(failures) == 5


async def test_a_burst_to_nobody_counts_errors_in_words(ui: Ui, free_port: Callable[[], int]) -> None:
    await ui.open_at(f"http://127.0.0.1:{free_port()}")
    burst = await ui.post("/burst?n=3&concurrency=2")
    assert burst["errors"] == {"connection refused": 3}
    assert burst["statuses"] == {}
    assert burst["latency_ms"] == {"p50": None, "p99": None}


async def test_requests_carry_the_headers_of_osms_demo(ui: Ui) -> None:
    store = TwoStores()
    await ui.open(store)
    await ui.post("/burst?n=1")
    assert store.seen[0].headers["client-app"] == "bookbuyer"
    assert store.seen[0].headers["user-agent"] == "Go-http-client/1.1"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/burst?n=0", "n is 0; it must be from 1 to 20000"),
        ("/burst?n=20001", "n is 20001; it must be from 1 to 20000"),
        ("/burst?n=many", "n is 'many'; it must be a whole number from 1 to 20000"),
        ("/burst?concurrency=65", "concurrency is 65; it must be from 1 to 64"),
        ("/burst?path=raw", "path is 'raw'; it must begin with / and hold neither spaces nor controls"),
        ("/burst?path=/a%0d%0ab", "path is '/a\\r\\nb'; it must begin with / and hold neither spaces nor controls"),
        ("/burst?count=5", "unknown parameter 'count'; known are n, concurrency and path"),
        ("/rate?per_second=501", "per_second is '501'; it must be a number from 0 to 500"),
        ("/rate?per_second=nan", "per_second is 'nan'; it must be a number from 0 to 500"),
        ("/rate", "per_second is ''; it must be a number from 0 to 500"),
    ],
)
async def test_a_bad_query_is_answered_400_with_what_is_allowed(ui: Ui, path: str, sentence: str) -> None:
    await ui.open(TwoStores())
    answer = await ui.client.request("POST", ui.url + path)
    assert (answer.status, answer.body.decode().strip()) == (400, sentence)


async def test_the_rate_can_be_changed_and_is_shown(ui: Ui) -> None:
    await ui.open(TwoStores())
    assert await ui.post("/rate?per_second=2.5") == {"per_second": 2.5}
    raw = await ui.client.request("GET", ui.url + "/raw")
    assert json.loads(raw.body)["rate_per_second"] == 2.5


async def test_raw_counts_books_apart_from_looks_and_reset_forgets_both(ui: Ui) -> None:
    await ui.open(TwoStores())
    await ui.post("/burst?n=4")
    await ui.post("/burst?n=3&path=/books-bought")
    raw = json.loads((await ui.client.request("GET", ui.url + "/raw")).body)
    assert (raw["books"], raw["requests"], raw["statuses"]) == (4, 7, {"200": 7})
    reset = await ui.post("/reset")
    assert (reset["books"], reset["requests"], reset["identities"]) == (0, 0, {})


async def test_the_page_shows_who_answered_and_loads_nothing_from_elsewhere(ui: Ui) -> None:
    await ui.open(TwoStores())
    await ui.post("/burst?n=2")
    page = (await ui.client.request("GET", ui.url + "/")).body.decode()
    assert "bookstore-v1" in page
    assert "src=" not in page
    assert 'href="http' not in page


async def test_the_loop_looks_and_buys_at_its_pace(client: HttpClient) -> None:
    store = TwoStores()
    async with listen(store.routes(), "127.0.0.1", 0) as port:
        shopper = Shopper("bookbuyer", f"http://127.0.0.1:{port}", client, Pace(500, 0))
        loop = asyncio.create_task(shopper.shop())
        async with asyncio.timeout(20):
            while {request.path for request in store.seen} != {"/books-bought", "/buy-a-book/new"}:
                await asyncio.sleep(0.01)
        loop.cancel()
        await asyncio.wait([loop])
    assert loop.cancelled()


def test_a_pace_makes_one_purchase_due_at_once_and_then_its_rate() -> None:
    pace = Pace(5, now=100)
    assert pace.due(100) == 1
    assert pace.due(100.1) == 0
    assert pace.due(100.25) == 1
    assert pace.due(101.25) == 5


def test_a_pace_forgets_what_it_could_not_do() -> None:
    pace = Pace(100, now=0)
    assert pace.due(60) == BACKLOG_LIMIT
    assert pace.due(60) == 0


def test_a_rate_of_zero_pauses_and_another_resumes_without_a_backlog() -> None:
    pace = Pace(0, now=0)
    assert pace.due(60) == 0
    pace.change(10, now=60)
    assert pace.due(60) == 0
    assert pace.due(60.5) == 5


def test_latencies_are_nearest_rank_percentiles_of_answered_requests() -> None:
    answered = [Outcome(status=200, seconds=number / 1000) for number in range(1, 101)]
    summary = summarise([Outcome(error="connection refused", seconds=9), *answered])
    assert summary["latency_ms"] == {"p50": 50.0, "p99": 99.0}


def test_a_burst_has_defaults() -> None:
    assert parse({}) == Burst(requests=1000, concurrency=16, path="/buy-a-book/new")


def test_results_that_alternate_do_not_fill_the_log() -> None:
    news = News()
    assert news.is_news("/", "status 200", now=0)
    assert not news.is_news("/", "status 503", now=0.5)
    assert news.is_news("/books-bought", "status 503", now=0.5)
    assert not news.is_news("/", "status 200", now=7)
    assert news.is_news("/", "status 503", now=8)
