"""The demo's apps and sidecars as a visitor finds them: addresses from the board, requests over HTTP."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from osm.bus import Bus
from osm.cli.demo.board import Board, TooSlow
from osm.contracts.channels import PROXY_ADMIN
from osm.contracts.status import AdminQuery

BUYER, THIEF = "bookbuyer-0.bookbuyer", "bookthief-0.bookthief"
STORES = ("bookstore-v1-0.bookstore", "bookstore-v2-0.bookstore")
WAREHOUSE = "bookwarehouse-0.bookwarehouse"
WORKLOADS = 5

BOOKSTORE_URL = "http://bookstore.bookstore.svc.cluster.local:14001"
BUY = "/buy-a-book/new"

_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30)


class Burst(Struct, frozen=True, kw_only=True):
    """What came of a burst of requests, as the app that sent them counts it."""

    requests: int
    statuses: Mapping[str, int]
    identities: Mapping[str, int] = {}
    errors: Mapping[str, int] = {}
    first_failures: list[Any] = []

    @property
    def succeeded(self) -> int:
        return self.statuses.get("200", 0)


class Shop:
    """Asks the apps at their own ports, and the mesh through their sidecars."""

    def __init__(self, bus: Bus, board: Board, session: aiohttp.ClientSession) -> None:
        self._bus = bus
        self._board = board
        self._session = session

    async def burst(self, workload: str, requests: int, *, concurrency: int = 16) -> Burst:
        """Let a shopper's app send requests now, through its sidecar."""
        query = {"n": str(requests), "concurrency": str(concurrency), "path": BUY}
        return msgspec.convert(await self._post(workload, "/burst", query), Burst)

    async def pace(self, workload: str, per_second: float) -> None:
        """How often a shopper's app buys on its own account."""
        await self._post(workload, "/rate", {"per_second": str(per_second)})

    async def probe(self, workload: str, protocol: str, requests: int) -> dict[str, Any]:
        """Let the echo client speak a protocol to the echo server."""
        return await self._post(workload, "/probe", {"protocol": protocol, "n": str(requests)})

    async def raw(self, workload: str) -> dict[str, Any]:
        """What an app says of itself."""
        async with self._session.get(self.app_url(workload) + "/raw", timeout=_REQUEST_TIMEOUT) as answer:
            return _object(await answer.read())

    async def ask_through(self, workload: str, path: str = BUY) -> tuple[int, str]:
        """One request to the bookstore through a workload's sidecar: status and who answered."""
        proxy = f"http://{self._board.processes()[workload].http_proxy}"
        async with self._session.get(BOOKSTORE_URL + path, proxy=proxy, timeout=_REQUEST_TIMEOUT) as answer:
            await answer.read()
            return answer.status, answer.headers.get("identity", "")

    async def first_answer(self, workload: str, told: Callable[[int], bool], timeout_s: float = 10.0) -> float:
        """Ask until the status is as told; when that was, seconds since the epoch. Raises TooSlow."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            status, _ = await self.ask_through(workload)
            if told(status):
                return time.time()
            await asyncio.sleep(0.002)
        raise TooSlow(f"{workload} was still not answered otherwise after {timeout_s:g} s")

    async def stats(self, workload: str, names: str) -> str:
        """A sidecar's counters whose names match (RE2), a line each."""
        return await self.admin(workload, "stats", names)

    async def admin(self, workload: str, query: str, names: str = "") -> str:
        """A page of a sidecar's admin interface."""
        asked = msgspec.convert({"proxy_id": workload, "query": query, "filter": names}, AdminQuery)
        return (await self._bus.ask(PROXY_ADMIN, asked)).body

    def app_url(self, workload: str) -> str:
        """Where the app itself listens, past its sidecar: what a person's browser opens."""
        return f"http://{self._board.processes()[workload].app_addresses[0][1]}"

    async def _post(self, workload: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        url = self.app_url(workload) + path
        async with self._session.post(url, params=dict(query), timeout=_REQUEST_TIMEOUT) as answer:
            if answer.status != 200:
                raise TooSlow(f"{workload} {path}: {answer.status} {await answer.text()}")
            return _object(await answer.read())


def _object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises msgspec.DecodeError or msgspec.ValidationError."""
    return msgspec.json.decode(body, type=dict[str, Any])
