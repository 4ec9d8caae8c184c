"""Keeps the mesh's roots in the `caBundle` of both webhook configurations, so that the API server trusts us.

The chart makes the configurations without any (no pod of the mesh is let in until then, by `failurePolicy: Fail`);
whoever holds the Lease fills them in, at every change of the roots and again now and then, in case somebody took
them out. Everyone looks, for nobody is ready whom the API server cannot ask.
"""

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from typing import Any, NoReturn

import structlog
from msgspec import Struct

from osm.contracts import labels
from osm.k8s.client import Cluster
from osm.k8s.errors import ApiError, NotFound
from osm.k8s.lease import Leadership
from osm.k8s.resource import MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, Resource
from services.injector.bus_inputs import BusInputs

LOOK_AGAIN_S = 30.0
UNTRUSTED_LOOK_AGAIN_S = 1.0
"""While it is not as it should be: another replica may be about to mend it."""

log = structlog.get_logger()


class _ClientConfig(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the API server asks, and whom it trusts there (base64)."""

    ca_bundle: bytes = b""


class Webhook(Struct, frozen=True, kw_only=True, rename="camel"):
    """One question of a configuration."""

    name: str
    client_config: _ClientConfig = _ClientConfig()


class Configuration(Struct, frozen=True, kw_only=True):
    """Of either kind."""

    webhooks: tuple[Webhook, ...] = ()


def untrusting(found: Configuration, roots_pem: str) -> Mapping[str, Any] | None:
    """The strategic patch that puts the roots in; None if they are there."""
    wanted = roots_pem.encode()
    bundle = base64.b64encode(wanted).decode()
    wrong = [webhook.name for webhook in found.webhooks if webhook.client_config.ca_bundle != wanted]
    if not wrong:
        return None
    return {"webhooks": [{"name": name, "clientConfig": {"caBundle": bundle}} for name in wrong]}


class Webhooks:
    """`watch` always; what is wrong is mended only with a Lease (`lead`). `trusted` is what was last seen."""

    def __init__(self, cluster: Cluster, heard: BusInputs, mesh: str) -> None:
        self.trusted = False
        self.why = "the API server to be asked whom it trusts"
        self._cluster = cluster
        self._heard = heard
        self._configurations = (
            (MUTATING_WEBHOOKS, labels.injection_webhook(mesh)),
            (VALIDATING_WEBHOOKS, labels.validating_webhook(mesh)),
        )
        self._leadership: Leadership | None = None
        self._again = asyncio.Event()

    def lead(self, leadership: Leadership) -> None:
        """From now on what is wrong is ours to mend, for as long as the Lease holds."""
        self._leadership = leadership
        self._again.set()

    async def watch(self) -> NoReturn:
        while True:
            roots_pem = self._heard.roots_pem  # others that come while we look are a reason to look again
            pause_s = LOOK_AGAIN_S if await self._look(roots_pem) else UNTRUSTED_LOOK_AGAIN_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._reason(roots_pem)

    async def _reason(self, roots_pem: str) -> None:
        """To look before it is time: other roots, or a Lease."""
        async with asyncio.TaskGroup() as tasks:
            waits = [
                tasks.create_task(self._heard.other_roots(roots_pem), name="injector: other roots"),
                tasks.create_task(self._again.wait(), name="injector: lease taken"),
            ]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
        self._again.clear()

    async def _look(self, roots_pem: str) -> bool:
        try:
            missing = [name for what, name in self._configurations if not await self._is_right(what, name, roots_pem)]
        except ApiError as error:
            self.why = str(error)
            return False
        self.why = f"our roots in the webhook configuration {', '.join(missing)}" if missing else ""
        self.trusted = not missing
        return self.trusted

    async def _is_right(self, what: Resource, name: str, roots_pem: str) -> bool:
        """After mending it, if that is ours to do. An installation may do without the validating one."""
        try:
            found = await self._cluster.get(what, name, as_=Configuration)
        except NotFound:
            return what is VALIDATING_WEBHOOKS
        change = untrusting(found, roots_pem)
        if change is None:
            return True
        if self._leadership is None or not self._leadership.holds():
            return False
        await self._cluster.patch(what, name, change, how="strategic")
        log.info("webhook trusts the mesh's roots", configuration=name)
        return True
