"""The controller of sidecar Secrets: watches pods and Secrets, and does what `secret_chores` decides.

Each chore is a task of its own, a bounded number at a time, one for a Secret; one that failed is tried again later
and later. Nothing is lost if this process ends: what is to be done follows from what there is.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import Mapping
from typing import Any, NoReturn

import structlog

from osm.bus import Bus
from osm.contracts import labels
from osm.contracts.trust import ProxyClient, Refused
from osm.k8s.client import Cluster
from osm.k8s.errors import ApiError, Conflict, NotFound
from osm.k8s.events import tell
from osm.k8s.follow import follow
from osm.k8s.lease import Leadership
from osm.k8s.objects import Object, ObjectReference
from osm.k8s.resource import PODS, SECRETS
from osm.pki.holder import Held, certify
from osm.pki.renewal import retry_in
from services.injector import names, secret
from services.injector.bus_inputs import BusInputs
from services.injector.measures import Measures
from services.injector.pods_and_secrets import PodsAndSecrets
from services.injector.proxies import Proxy, RunningPod, SecretKey
from services.injector.secret import Certificate, Mesh, roots_id
from services.injector.secret_chores import Chore, chores

AT_ONCE = 16
"""Chores at a time: some hundred Secrets a second, and no burst that the API server would have to hold back."""

QUIET_S = 0.02
"""Between two looks. The first pod after a while has its Secret at once: kubelet mounts it in the next moment, and
waits half a second before it tries again."""

LONGEST_NAP_S = 30.0

SHORT_LIVED_S = 3600
"""kubelet takes a minute or more to show a changed Secret: proxies' certificates should live an hour at least."""

TELL_AT_FAILURE = 6
"""Some seconds of retries: then the pod's maker is told, since its containers wait. Before, a mesh may only start."""

log = structlog.get_logger()


class NotCertified(Exception):
    """certmgr has not signed; the message says why."""


class SecretController:
    """`run` always; `lead` beside it for as long as the Lease is held."""

    def __init__(self, bus: Bus, cluster: Cluster, heard: BusInputs, mesh: Mesh) -> None:
        self.board = PodsAndSecrets(mesh.name)
        self._bus = bus
        self._cluster = cluster
        self._heard = heard
        self._mesh = mesh
        self._leadership: Leadership | None = None
        self._changed = asyncio.Event()
        self._busy: set[SecretKey] = set()
        self._failed: dict[SecretKey, tuple[int, float]] = {}
        self._measures = Measures(waiting=lambda: len(self._failed), ends=self.board.earliest_end_s)

    def admitted(self, uuid: str) -> None:
        """A pod with this sidecar may appear."""
        self.board.admit(uuid, time.time())

    async def run(self) -> NoReturn:
        """Watch pods, and do what is to be done."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pods(), name="injector: pods")
            tasks.create_task(self._roots(), name="injector: roots")
            await self._work(tasks)
        raise AssertionError("unreachable: all of it is endless")

    async def lead(self, leadership: Leadership) -> NoReturn:
        """Watch Secrets: from the first full picture on, all chores are ours."""
        self._leadership = leadership
        try:
            async for seen in follow(self._cluster, SECRETS, as_=Object, labels=secret.selector(self._mesh.name)):
                self.board.see_secrets(seen)
                self._changed.set()
        finally:
            self.board.secrets = None
        raise AssertionError("unreachable: a watch is endless")

    async def _pods(self) -> None:
        async for seen in follow(self._cluster, PODS, as_=RunningPod, labels=labels.PROXY_UUID):
            self.board.see_pods(seen, time.time())
            self._changed.set()

    async def _roots(self) -> None:
        roots = ""
        while True:
            roots = await self._heard.other_roots(roots)
            self._changed.set()

    async def _work(self, tasks: asyncio.TaskGroup) -> NoReturn:
        loop = asyncio.get_running_loop()
        while True:
            again_s = loop.time() + QUIET_S
            self._changed.clear()
            next_s = self._begin(tasks) if self._heard.roots_pem else time.time() + LONGEST_NAP_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(LONGEST_NAP_S, max(0.0, next_s - time.time()))):
                    await self._changed.wait()
            await asyncio.sleep(max(0.0, again_s - loop.time()))

    def _begin(self, tasks: asyncio.TaskGroup) -> float:
        """Begin what is due and fits; when to look again."""
        now_s = time.time()
        next_s = now_s + LONGEST_NAP_S
        board, roots = self.board, roots_id(self._heard.roots_pem)
        todo = list(chores(board.proxies, board.tended, admitted=board.admitted, roots=roots, now_s=now_s))
        wanted = {chore.key for chore in todo}
        self._failed = {key: failed for key, failed in self._failed.items() if key in wanted}
        for chore in sorted(todo, key=lambda each: each.due_s):
            due_s = max(chore.due_s, self._failed.get(chore.key, (0, 0.0))[1])
            if chore.key in self._busy:
                continue
            if due_s > now_s:
                next_s = min(next_s, due_s)
            elif len(self._busy) < AT_ONCE:  # else looked at again when one of them is done
                self._busy.add(chore.key)
                tasks.create_task(self._try(chore), name=f"injector: {chore.verb} {'/'.join(chore.key)}")
        return next_s

    async def _try(self, chore: Chore) -> None:
        """A failure is this Secret's alone."""
        try:
            await self._do(chore)
            self._failed.pop(chore.key, None)
            self._measures.did(chore.verb)
        except (ApiError, NotCertified) as error:
            failures = self._failed.get(chore.key, (0, 0.0))[0] + 1
            pause_s = retry_in(failures, random.random())  # noqa: S311  # spreads load, hides nothing
            self._failed[chore.key] = (failures, time.time() + pause_s)
            self._measures.failed(chore.verb)
            await self._lament(chore, failures, str(error))
        finally:
            self._busy.discard(chore.key)
            self._changed.set()

    async def _do(self, chore: Chore) -> None:
        """Raises ApiError, NotCertified."""
        namespace, uuid = chore.key
        match chore.verb, chore.proxy:
            case "make", Proxy() as proxy:
                await self._make(proxy)
            case "renew", Proxy() as proxy:
                certificate = await self._certified(proxy)
                roots_pem = self._heard.roots_pem
                if await self._patch(chore, secret.renewed(proxy, certificate, roots_pem, self._mesh)):
                    self.board.wrote(secret.remembered(proxy, certificate, roots_pem, time.time()))
            case "trust", Proxy():
                roots_pem = self._heard.roots_pem
                if await self._patch(chore, secret.trusting(roots_pem)):
                    self.board.revised(chore.key, roots=roots_id(roots_pem))
            case "own", Proxy() as proxy:
                if await self._patch(chore, secret.owned(proxy)):
                    self.board.revised(chore.key, owner_uid=proxy.pod_uid)
            case "collect", _ if self._leads():
                with contextlib.suppress(NotFound):
                    await self._cluster.delete(SECRETS, names.secret_name(uuid), namespace)
                self.board.removed(chore.key)
                log.info("secret collected", namespace=namespace, proxy=uuid)

    async def _make(self, proxy: Proxy) -> None:
        """Raises ApiError, NotCertified. Conflict ends it for who admitted the pod: another injector was faster. The
        holder of the Lease comes back to it, later and later: a Secret of that name without our labels is in the way.
        """
        certificate = await self._certified(proxy)
        roots_pem = self._heard.roots_pem
        try:
            await self._cluster.create(SECRETS, secret.made(proxy, certificate, roots_pem, self._mesh))
        except Conflict:
            self.board.settle(proxy.uuid)
            raise
        self.board.wrote(secret.remembered(proxy, certificate, roots_pem, time.time()))
        self.board.settle(proxy.uuid)
        log.info("secret made", namespace=proxy.namespace, pod=proxy.pod, proxy=proxy.uuid)

    async def _certified(self, proxy: Proxy) -> Certificate:
        subject = ProxyClient(identity=proxy.identity, proxy_id=proxy.id)
        match await certify(self._bus, subject, trust_domain=self._mesh.trust_domain):
            case Refused(why=why):
                raise NotCertified(why)
            case Held() as held:
                if held.chain.not_after_s - held.chain.not_before_s < SHORT_LIVED_S:
                    log.warning("certificates live shorter than kubelet can be relied on", least_s=SHORT_LIVED_S)
                return Certificate(key_pem=held.key_pem(), chain=held.chain)

    async def _patch(self, chore: Chore, changed: Mapping[str, Any]) -> bool:
        """Whether it was ours to do, and is done. A Secret that is gone is made again: its watch will say so."""
        if not self._leads():
            return False
        namespace, uuid = chore.key
        try:
            await self._cluster.patch(SECRETS, names.secret_name(uuid), changed, namespace)
        except NotFound:
            self.board.removed(chore.key)
            return False
        log.info("secret changed", what=chore.verb, namespace=namespace, proxy=uuid)
        return True

    def _leads(self) -> bool:
        return self._leadership is not None and self._leadership.holds()

    async def _lament(self, chore: Chore, failures: int, why: str) -> None:
        say = log.warning if failures == TELL_AT_FAILURE else log.debug
        say("secret not written", what=chore.verb, proxy="/".join(chore.key), failures=failures, why=why)
        proxy = chore.proxy
        if failures != TELL_AT_FAILURE or proxy is None:
            return
        pod = ObjectReference(
            api_version="v1", kind="Pod", namespace=proxy.namespace, name=proxy.pod, uid=proxy.pod_uid
        )
        said = f"its sidecar waits for a certificate: {why}"
        try:
            await tell(self._cluster, pod, "SidecarNotCertified", said, warning=True)
        except ApiError as error:
            log.warning("event not written", why=str(error))
