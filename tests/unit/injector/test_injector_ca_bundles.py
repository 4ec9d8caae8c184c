"""Which webhooks do not trust the mesh's roots, and the patch that mends them."""

import asyncio
import base64
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from osm.k8s.errors import NotFound
from osm.k8s.lease import Leadership
from osm.k8s.resource import MUTATING_WEBHOOKS, Resource
from services.injector import ca_bundles
from services.injector.bus_inputs import BusInputs
from services.injector.ca_bundles import Configuration, Webhooks, untrusting


def configuration(**bundles: str | None) -> Configuration:
    webhooks: list[dict[str, Any]] = [
        {"name": name, "clientConfig": {} if text is None else {"caBundle": base64.b64encode(text.encode()).decode()}}
        for name, text in bundles.items()
    ]
    return msgspec.convert({"webhooks": webhooks}, Configuration)


def test_webhooks_that_trust_the_roots_are_left_alone() -> None:
    assert untrusting(configuration(a="ROOTS", b="ROOTS"), "ROOTS") is None


def test_only_the_webhook_that_does_not_is_mended_and_keeps_where_it_asks() -> None:
    change = untrusting(configuration(a="ROOTS", b=None, c="OLD"), "ROOTS")
    bundle = base64.b64encode(b"ROOTS").decode()
    assert change == {
        "webhooks": [
            {"name": "b", "clientConfig": {"caBundle": bundle}},
            {"name": "c", "clientConfig": {"caBundle": bundle}},
        ]
    }


class Rotating:
    """A cluster whose webhook trusts the roots; the second time these are others as soon as that has been seen."""

    def __init__(self, heard: BusInputs) -> None:
        self.patched = asyncio.Queue[Mapping[str, Any]]()
        self._heard = heard
        self._looks = 0

    async def get(self, what: Resource, name: str, *, as_: type[Configuration]) -> Configuration:
        if what is MUTATING_WEBHOOKS:
            self._looks += 1
            return configuration(a="OLD")
        if self._looks == 2:
            self._heard.roots_pem = "NEW"
        raise NotFound(f"no {name}", status=404, reason="NotFound")

    async def patch(self, _what: Resource, _name: str, body: Mapping[str, Any], *, how: str) -> None:
        assert how == "strategic"
        self.patched.put_nowait(body)


async def test_roots_that_come_while_it_looks_are_not_left_for_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ca_bundles, "LOOK_AGAIN_S", 3600.0)
    heard = BusInputs("cluster.local")
    heard.roots_pem = "OLD"
    cluster, leadership = Rotating(heard), Leadership()
    leadership.renewed(float("inf"))
    webhooks = Webhooks(cluster, heard, "osm")  # type: ignore[arg-type]  # what it asks of one
    webhooks.lead(leadership)
    watching = asyncio.create_task(webhooks.watch())
    try:
        async with asyncio.timeout(60):
            change = await cluster.patched.get()
    finally:
        watching.cancel()
        await asyncio.wait([watching])
    assert change == untrusting(configuration(a="OLD"), "NEW")
