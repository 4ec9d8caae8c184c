"""Keeps the ingress gateway's Secret current, for as long as this injector holds the Lease.

One Secret, so one thing at a time: what is due follows from the MeshConfig, the roots and the Secret's own metadata,
and is looked at again whenever one of them changes. A Secret of that name that is none of ours is left alone.
"""

import asyncio
import contextlib
import random
import time
from typing import NoReturn

import structlog

from osm.bus import Bus
from osm.contracts.policy import IngressGateway
from osm.contracts.trust import Gateway, Refused
from osm.k8s.client import Cluster
from osm.k8s.errors import ApiError, Conflict, NotFound
from osm.k8s.events import tell
from osm.k8s.follow import follow
from osm.k8s.lease import Leadership
from osm.k8s.objects import Object, ObjectReference
from osm.k8s.resource import MESH_CONFIGS, SECRETS
from osm.pki.holder import Held, certify
from osm.pki.renewal import retry_in
from osm.smi.onemesh import MESH_CONFIG_NAME
from services.injector.bus_inputs import BusInputs
from services.injector.gateway import (
    KeptGateway,
    Key,
    due_s,
    kept_gateway,
    remembered_gateway,
    selector,
    strays,
    written,
)
from services.injector.secret import Certificate, Mesh

LONGEST_NAP_S = 30.0

LEAST_PERIOD_S = 1.0
"""Between two looks at what is due by the clock alone, however short certificates live."""

TELL_AT_FAILURE = 6
"""Some seconds of retries: then the MeshConfig's author is told. Before, a mesh may only start."""

log = structlog.get_logger()


class NotWritten(Exception):
    """The Secret cannot be written now; the message says why, and what to do about it."""


class GatewayController:
    """`lead` for as long as the Lease is held."""

    def __init__(self, bus: Bus, cluster: Cluster, heard: BusInputs, mesh: Mesh, home: str) -> None:
        """`home`: the control plane's namespace, where the MeshConfig is."""
        self._bus = bus
        self._cluster = cluster
        self._heard = heard
        self._mesh = mesh
        self._home = home
        self._found: dict[Key, KeptGateway] | None = None
        self._changed = asyncio.Event()

    async def lead(self, leadership: Leadership) -> NoReturn:
        self._found = None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._secrets(), name="injector: gateway's Secret")
            tasks.create_task(self._settings(), name="injector: gateway's settings")
            await self._work(leadership)
        raise AssertionError("unreachable: all of it is endless")

    async def _secrets(self) -> None:
        async for seen in follow(self._cluster, SECRETS, as_=Object, labels=selector(self._mesh.name)):
            found = {} if seen.full or self._found is None else self._found
            for key, each in seen.objects.items():
                found.pop(key, None)
                if each is not None:
                    found[key] = kept_gateway(each.metadata)
            self._found = found
            self._changed.set()

    async def _settings(self) -> None:
        while True:
            await self._heard.change()
            self._changed.set()

    async def _work(self, leadership: Leadership) -> NoReturn:
        failures = 0
        while True:
            self._changed.clear()
            pause_s = LONGEST_NAP_S
            if self._found is not None and self._heard.roots_pem and leadership.holds():
                try:
                    pause_s = max(LEAST_PERIOD_S, await self._tend(self._found) - time.time())
                    failures = 0
                except (ApiError, NotWritten) as error:
                    failures += 1
                    pause_s = retry_in(failures, random.random())  # noqa: S311  # spreads load, hides nothing
                    await self._lament(str(error), failures)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(pause_s, LONGEST_NAP_S)):
                    await self._changed.wait()

    async def _lament(self, why: str, failures: int) -> None:
        log.warning("the ingress gateway's secret is not current", why=why, failures=failures)
        if failures != TELL_AT_FAILURE:
            return
        config = ObjectReference(
            api_version=MESH_CONFIGS.api_version, kind=MESH_CONFIGS.kind, namespace=self._home, name=MESH_CONFIG_NAME
        )
        try:
            await tell(self._cluster, config, "GatewayNotCertified", why, warning=True)
        except ApiError as error:
            log.warning("event not written", why=str(error))

    async def _tend(self, found: dict[Key, KeptGateway]) -> float:
        """Do what is due; when to look again. Raises ApiError, NotWritten."""
        gateway, roots_pem = self._heard.mesh.ingress_gateway, self._heard.roots_pem
        for namespace, name in strays(gateway, found):
            with contextlib.suppress(NotFound):
                await self._cluster.delete(SECRETS, name, namespace)
            found.pop((namespace, name), None)
            log.info("gateway's secret removed", namespace=namespace, name=name)
        if gateway is None:
            return time.time() + LONGEST_NAP_S
        key = (gateway.namespace, gateway.name)
        if (due := due_s(gateway, found.get(key), roots_pem)) > time.time():
            return due
        certificate = await self._certified(gateway)
        await self._write(gateway, certificate, roots_pem, is_there=key in found)
        found[key] = remembered_gateway(gateway, certificate, roots_pem)
        log.info("gateway's secret written", namespace=gateway.namespace, name=gateway.name, names=gateway.dns_names)
        return due_s(gateway, found[key], roots_pem)

    async def _certified(self, gateway: IngressGateway) -> Certificate:
        subject = Gateway(dns_names=gateway.dns_names)
        asked = certify(self._bus, subject, trust_domain=self._mesh.trust_domain, lifetime_s=gateway.lifetime_s)
        match await asked:
            case Refused(why=why):
                raise NotWritten(f"spec.certificate.ingressGateway of the MeshConfig: {why}")
            case Held() as held:
                return Certificate(key_pem=held.key_pem(), chain=held.chain)

    async def _write(
        self, gateway: IngressGateway, certificate: Certificate, roots_pem: str, *, is_there: bool
    ) -> None:
        body = written(gateway, certificate, roots_pem, self._mesh.name)
        place = f"Secret {gateway.namespace}/{gateway.name}"
        try:
            if is_there:
                await self._cluster.patch(SECRETS, gateway.name, body, gateway.namespace)
            else:
                await self._cluster.create(SECRETS, body)
        except Conflict as error:
            raise NotWritten(f"{place} is there and not ours: delete it, or name another in the MeshConfig") from error
        except NotFound as error:
            if self._found is not None:
                self._found.pop((gateway.namespace, gateway.name), None)
            raise NotWritten(f"{place}: {error}") from error
