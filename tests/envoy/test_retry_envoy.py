"""A Retry, kept by a real Envoy: what an app has answered is asked again, as often as the user says, and no oftener."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from msgspec.structs import replace

from osm.contracts.catalog import Policy, ServiceRetry
from osm.contracts.names import ObjectRef
from osm.contracts.traffic_settings import RetryTerms
from tests.envoy.admin_page import counter
from tests.envoy.translate_world import BUYER, HOST, HTTP, SHOP, Client, Store, World
from tests.golden.translate.cases import Case

pytestmark = pytest.mark.envoy

CLUSTER = f"cluster.{SHOP}|{HTTP}"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(tmp_path, stack)


def patient(client: Client, terms: RetryTerms) -> Case:
    case = client.case()
    retry = ServiceRetry(origin=ObjectRef("Retry", "buyers", "patience"), service=SHOP, terms=terms)
    policy = case.policy or Policy(identity=BUYER)
    return replace(case, policy=replace(policy, retries=(retry,)))


async def _status(client: Client) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{HOST}:{client.http_port}/books/1", data=b"a book") as response,
    ):
        return response.status


async def test_a_503_of_the_app_is_asked_again_as_often_as_the_user_says(world: World) -> None:
    store = Store(1)
    client = Client([store])
    seen = await world.failing(store.app, web.HTTPServiceUnavailable, times=100)
    await world.sidecar(store.case())
    admin = await world.sidecar(patient(client, RetryTerms(on=("5xx",), retries=5, back_off_ms=1)))
    assert await _status(client) == 503
    assert len(seen) == 6
    assert await counter(admin, f"{CLUSTER}.upstream_rq_retry") == 5
    assert await counter(admin, f"{CLUSTER}.upstream_rq_retry_limit_exceeded") == 1
    assert await counter(admin, f"{CLUSTER}.upstream_rq_retry_backoff_exponential") == 5


async def test_one_503_costs_the_user_nothing(world: World) -> None:
    store = Store(1)
    client = Client([store])
    seen = await world.failing(store.app, web.HTTPServiceUnavailable, times=1)
    await world.sidecar(store.case())
    await world.sidecar(patient(client, RetryTerms(on=("5xx",))))
    assert await _status(client) == 200
    assert len(seen) == 2


async def test_without_a_retry_an_answer_is_an_answer(world: World) -> None:
    store = Store(1)
    client = Client([store])
    seen = await world.failing(store.app, web.HTTPServiceUnavailable, times=1)
    await world.sidecar(store.case())
    await world.sidecar(client.case())
    assert await _status(client) == 503
    assert len(seen) == 1


async def test_a_retry_keeps_what_sidecars_do_by_themselves(world: World) -> None:
    alive, dead = Store(1), Store(2)
    client = Client([alive, dead])
    await world.app("alive", alive.app)
    await world.sidecar(alive.case())
    await world.sidecar(patient(client, RetryTerms(on=("resource-exhausted",), retries=1)))
    assert [await _status(client) for _ in range(10)] == [200] * 10
