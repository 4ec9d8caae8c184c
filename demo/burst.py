"""A burst: many requests at once, asked for over HTTP and answered when the last one is done.

Separate from `shopper`, whose loop never ends, because a burst is exact: as many outcomes as requests.
It refuses what would keep a laptop busy for minutes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from demo.outcomes import Outcome

REQUESTS_LIMIT = 20_000  # some twenty seconds on a laptop
CONCURRENCY_LIMIT = 64  # as many connections as the client keeps

Send = Callable[[str], Awaitable[Outcome]]
"""Sends one GET to the given path."""


@dataclass(frozen=True, kw_only=True)
class Burst:
    """How many requests to send, how many at a time, and to which path."""

    requests: int
    concurrency: int
    path: str


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a query cannot be done; `why` is for its sender."""

    why: str


def whole_number(query: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int | Refusal:
    """Read one bounded whole number of a query."""
    given = query.get(name, str(default))
    try:
        number = int(given)
    except ValueError:
        return Refusal(why=f"{name} is {given!r}; it must be a whole number from {least} to {most}")
    if not least <= number <= most:
        return Refusal(why=f"{name} is {number}; it must be from {least} to {most}")
    return number


def parse(query: Mapping[str, str]) -> Burst | Refusal:
    """Read `n`, `concurrency` and `path`."""
    requests = whole_number(query, "n", default=1000, least=1, most=REQUESTS_LIMIT)
    concurrency = whole_number(query, "concurrency", default=16, least=1, most=CONCURRENCY_LIMIT)
    path = query.get("path", "/buy-a-book/new")
    unknown = sorted(set(query) - {"n", "concurrency", "path"})
    if isinstance(requests, Refusal):
        return requests
    if isinstance(concurrency, Refusal):
        return concurrency
    if unknown:
        return Refusal(why=f"unknown parameter {unknown[0]!r}; known are n, concurrency and path")
    if not (path.startswith("/") and path.isascii() and path.isprintable() and " " not in path):
        return Refusal(why=f"path is {path!r}; it must begin with / and hold neither spaces nor controls")
    return Burst(requests=requests, concurrency=concurrency, path=path)


async def perform(burst: Burst, send: Send) -> list[Outcome]:
    """Send all of it and return one outcome per request, in the order of their start."""
    outcomes: dict[int, Outcome] = {}
    numbers = iter(range(burst.requests))

    async def work() -> None:
        for number in numbers:  # shared: each worker takes the next number that is left
            outcomes[number] = await send(burst.path)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(burst.concurrency, burst.requests)):
            group.create_task(work())
    return [outcomes[number] for number in range(burst.requests)]
