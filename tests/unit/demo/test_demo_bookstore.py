import asyncio
import json
from collections.abc import AsyncIterator, Callable

import pytest

from demo.bookstore import Bookstore
from demo.bookwarehouse import Bookwarehouse
from demo.http_client import Answer, HttpClient
from demo.http_server import Request, Response, listen, text
from demo.restock import PENDING_LIMIT, Restocker


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient() as http:
        yield http


async def ask(client: HttpClient, port: int, method: str, path: str, body: bytes = b"") -> Answer:
    headers = {"client-app": "bookbuyer"}
    return await client.request(method, f"http://127.0.0.1:{port}{path}", headers, body)


async def test_a_sale_is_signed_and_reaches_the_warehouse(client: HttpClient) -> None:
    async with listen(Bookwarehouse().routes(), "127.0.0.1", 0) as warehouse:
        restocker = Restocker(f"http://127.0.0.1:{warehouse}/restock-books", client)
        async with listen(Bookstore("bookstore-v2", restocker).routes(), "127.0.0.1", 0) as port:
            for _ in range(3):
                sale = await ask(client, port, "GET", "/buy-a-book/new")
            assert await restocker.deliver_once()
            total = json.loads((await ask(client, warehouse, "GET", "/raw")).body)
            raw = json.loads((await ask(client, port, "GET", "/raw")).body)
    assert (sale.headers["identity"], sale.headers["booksbought"]) == ("bookstore-v2", "3")
    assert total == {"books_restocked": 3, "deliveries": 1}
    assert raw["requests_by_client"] == {"bookbuyer": 3}
    assert raw["restocks"]["succeeded"] == 1
    assert raw["restocks"]["delivered_books"] == 3


async def test_deliveries_go_on_beside_the_sales(client: HttpClient) -> None:
    house = Bookwarehouse()
    async with listen(house.routes(), "127.0.0.1", 0) as warehouse:
        restocker = Restocker(f"http://127.0.0.1:{warehouse}/restock-books", client)
        delivering = asyncio.create_task(restocker.deliver())
        for _ in range(100):
            restocker.want(1, {})
            await asyncio.sleep(0)
        async with asyncio.timeout(20):
            while restocker.pending:
                await asyncio.sleep(0.01)
        delivering.cancel()
        await asyncio.wait([delivering])
    assert house.books_restocked == 100


async def test_a_sale_succeeds_without_a_warehouse_and_its_book_stays_wanted(
    client: HttpClient, free_port: Callable[[], int]
) -> None:
    restocker = Restocker(f"http://127.0.0.1:{free_port()}/restock-books", client)
    async with listen(Bookstore("bookstore-v1", restocker).routes(), "127.0.0.1", 0) as port:
        assert (await ask(client, port, "GET", "/buy-a-book/new")).status == 200
    assert not await restocker.deliver_once()
    assert (restocker.failed, restocker.pending, restocker.delivered_books) == (1, 1, 0)


async def test_a_refusal_by_the_warehouse_is_a_failure(client: HttpClient) -> None:
    routes = {("POST", "/restock-books"): lambda _: text("RBAC: access denied", status=403)}
    async with listen(routes, "127.0.0.1", 0) as warehouse:
        restocker = Restocker(f"http://127.0.0.1:{warehouse}/restock-books", client)
        restocker.want(1, {})
        assert not await restocker.deliver_once()
    assert restocker.pending == 1


def test_wanted_books_are_bounded_and_the_rest_is_counted_as_dropped() -> None:
    restocker = Restocker("http://127.0.0.1:1/", HttpClient())
    restocker.want(PENDING_LIMIT - 1, {})
    restocker.want(3, {})
    assert (restocker.pending, restocker.dropped) == (PENDING_LIMIT, 2)


async def test_a_delivery_carries_the_trace_of_the_sale_and_nothing_else_of_it(client: HttpClient) -> None:
    seen: list[Request] = []

    def keep(request: Request) -> Response:
        seen.append(request)
        return text("ok")

    async with listen({("POST", "/restock-books"): keep}, "127.0.0.1", 0) as warehouse:
        restocker = Restocker(f"http://127.0.0.1:{warehouse}/restock-books", client)
        restocker.want(1, {"traceparent": "00-1-2-01", "cookie": "secret"})
        await restocker.deliver_once()
    assert seen[0].headers["traceparent"] == "00-1-2-01"
    assert "cookie" not in seen[0].headers


async def test_names_of_clients_cannot_fill_the_memory(client: HttpClient) -> None:
    store = Bookstore("bookstore-v1", Restocker("http://127.0.0.1:1/", client))
    sell = store.routes()["GET", "/buy-a-book/new"]
    for number in range(500):
        sell(Request(method="GET", path="/buy-a-book/new", headers={"client-app": str(number)}))
    raw = store.routes()["GET", "/raw"](Request(method="GET", path="/raw"))
    assert isinstance(raw, Response)
    document = json.loads(raw.body)
    assert document["requests"] == 500
    assert len(document["requests_by_client"]) == 101


@pytest.mark.parametrize("body", [b"", b"-1", b"two", b"9999999999"])
async def test_a_number_of_books_must_be_a_whole_number(client: HttpClient, body: bytes) -> None:
    store = Bookstore("bookstore-v1", Restocker("http://127.0.0.1:1/", client))
    async with (
        listen(store.routes(), "127.0.0.1", 0) as port,
        listen(Bookwarehouse().routes(), "127.0.0.1", 0) as warehouse,
    ):
        bought = await ask(client, port, "POST", "/books-bought", body)
        restocked = await ask(client, warehouse, "POST", "/restock-books", body)
    assert (bought.status, restocked.status) == (400, 400)
    assert b"a whole number" in bought.body
    assert b"a whole number" in restocked.body


async def test_the_number_of_books_bought_can_be_set_and_read(client: HttpClient) -> None:
    store = Bookstore("bookstore-v1", Restocker("http://127.0.0.1:1/", client))
    async with listen(store.routes(), "127.0.0.1", 0) as port:
        await ask(client, port, "POST", "/books-bought", b"41")
        sale = await ask(client, port, "GET", "/buy-a-book/new")
        reset = await ask(client, port, "POST", "/reset")
        looked = await ask(client, port, "GET", "/books-bought")
    assert sale.headers["booksbought"] == "42"
    assert json.loads(reset.body)["books_sold"] == 0
    assert json.loads(looked.body) == {"bookstore": "bookstore-v1", "sold": 0}
