"""The demo's apps and sidecars as a visitor finds them: addresses from the board, requests over HTTP."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct

from osm.bus import Bus
from osm.cli.client import of_kind, picture
from osm.cli.demo.app_access import from_inside, to_app
from osm.cli.demo.mesh_status import PATIENCE_S, MeshStatus, TooSlow
from osm.contracts.channels import MESH_SERVICE, PROXY_ADMIN
from osm.contracts.names import Address, ServiceName
from osm.contracts.status import AdminQuery

BUYER, THIEF = "bookbuyer-0.bookbuyer", "bookthief-0.bookthief"
STORES = ("bookstore-v1-0.bookstore", "bookstore-v2-0.bookstore")
WAREHOUSE = "bookwarehouse-0.bookwarehouse"
WORKLOADS = 5

BOOKSTORE_URL = "http://bookstore.bookstore.svc.cluster.local:14001"
BUY = "/buy-a-book/new"

_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30)

NO_ANSWER = 0
"""In place of a status: where traffic is redirected, what no policy allows is no connection."""

BOOKSTORE = ServiceName("bookstore", "bookstore")


def turned_away(status: int) -> bool:
    """Whether this is how a sidecar turns its own app away: 403 by a proxy that was asked, else no connection."""
    return status in (403, NO_ANSWER)


_NO_CONNECTION = ("connection refused", "connection closed before the answer")
"""In the apps' own words."""


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

    @property
    def turned_away(self) -> int:
        """Those that got 403, or no connection."""
        return self.statuses.get("403", 0) + sum(self.errors.get(words, 0) for words in _NO_CONNECTION)


class Shop:
    """Asks the apps at their own ports, and the mesh through their sidecars."""

    def __init__(self, bus: Bus, board: MeshStatus, session: aiohttp.ClientSession) -> None:
        self._bus = bus
        self._board = board
        self._session = session
        self._bookstore: Address | None = None

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
        async with to_app(self._app(workload)) as session, session.get("/raw") as answer:
            return _object(await answer.read())

    async def refused(self, workload: str) -> int:
        """How many connections a shopper's app has been denied so far, as it counts itself."""
        errors = (await self.raw(workload))["errors"]
        return sum(errors.get(words, 0) for words in _NO_CONNECTION)

    async def ask_through(self, workload: str, path: str = BUY) -> tuple[int, str]:
        """One request to the bookstore through a workload's sidecar: status and who answered."""
        process = self._board.processes()[workload]
        if not process.http_proxy:
            return await self.ask_from(workload, await self.bookstore(), path)
        proxy = f"http://{process.http_proxy}"
        async with self._session.get(BOOKSTORE_URL + path, proxy=proxy, timeout=_REQUEST_TIMEOUT) as answer:
            await answer.read()
            return answer.status, answer.headers.get("identity", "")

    async def ask_from(self, workload: str, to: Address, path: str = BUY) -> tuple[int, str]:
        """One plain request to an address, as any program beside the workload's app would send it; it is redirected."""
        pid = self._board.processes()[workload].app_pid
        if pid is None:
            raise LookupError(f"the app of {workload} is not running")
        try:
            async with from_inside(pid) as session, session.get(f"http://{to}{path}") as answer:
                await answer.read()
                return answer.status, answer.headers.get("identity", "")
        except aiohttp.ClientConnectionError:
            return NO_ANSWER, ""

    async def bookstore(self) -> Address:
        """The service's own address, in an isolated mesh."""
        if self._bookstore is None:
            services = of_kind(await picture(self._bus, "catalog"), MESH_SERVICE)
            found = (each.service for each in services if each.service.name == BOOKSTORE)
            self._bookstore = next(Address(each.virtual_ips[0], each.ports[0].port) for each in found)
        return self._bookstore

    async def first_answer(self, workload: str, told: Callable[[int], bool], timeout_s: float = PATIENCE_S) -> float:
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

    def _app(self, workload: str) -> str:
        """Where the app itself listens, past its sidecar."""
        return self._board.processes()[workload].app_addresses[0][1]

    async def _post(self, workload: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        async with to_app(self._app(workload)) as session, session.post(path, params=dict(query)) as answer:
            if answer.status != 200:
                raise TooSlow(f"{workload} {path}: {answer.status} {await answer.text()}")
            return _object(await answer.read())


def _object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises msgspec.DecodeError or msgspec.ValidationError."""
    return msgspec.json.decode(body, type=dict[str, Any])
