"""A Kubernetes cluster as a source: its policies and namespaces, each kind followed by itself.

Nothing is taken before every kind has been read in full; a kind that is not installed has no objects.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import structlog

from osm.bus import Bus, BusError, Update
from osm.bus.background_tasks import background_tasks
from osm.contracts.channels import OBJECT_STATUS
from osm.contracts.problem import Problem
from osm.contracts.status import ObjectStatus
from osm.k8s.client import Cluster, connected
from osm.k8s.follow import follow
from osm.k8s.objects import Namespace
from osm.k8s.resource import NAMESPACES, Resource
from osm.manifests import Scan
from services.meshspec.cluster_state import ClusterState
from services.meshspec.kinds import KINDS
from services.meshspec.object_status import StatusWriter
from services.meshspec.state import Picture
from services.meshspec.status_text import status_text

LISTEN_AGAIN_S = 5.0
"""Until the status bucket is read again, if the bus refused."""

log = structlog.get_logger()


class Watched:
    """What was read of the cluster; a `Source`."""

    def __init__(self, cluster: Cluster, mesh_name: str, namespace: str) -> None:
        self._cluster = cluster
        self._gathered = ClusterState(mesh_name, namespace, KINDS)
        self._voice = StatusWriter(cluster, self._gathered.standing)
        self._changed = asyncio.Event()
        self._picture: Picture | None = None
        self._others: dict[str, tuple[Problem, ...]] = {}

    @property
    def missing(self) -> tuple[str, ...]:
        return self._gathered.missing

    async def change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def take(self) -> Scan:
        return self._gathered.scan()

    def told(self, picture: Picture) -> None:
        self._picture = picture
        self._speak()

    async def tell(self, bus: Bus) -> NoReturn:
        async with background_tasks(self._listen(bus)):
            await self._voice.serve()

    async def policies(self, what: Resource) -> None:
        async for seen in follow(self._cluster, what, as_=dict[str, Any]):
            self._gathered.objects(what, seen)
            self._changed.set()

    async def namespaces(self) -> None:
        async for seen in follow(self._cluster, NAMESPACES, as_=Namespace):
            self._gathered.namespaces(seen)
            self._changed.set()

    async def _listen(self, bus: Bus) -> None:
        """What the others find wrong with policies: that a route group is missing, that Envoy refuses it."""
        while True:
            try:
                async for update in bus.watch("status", states=(OBJECT_STATUS,)):
                    self._hear(update)
            except BusError as error:  # the forward path does without
                log.warning("policies not told what others find", why=str(error))
                await asyncio.sleep(LISTEN_AGAIN_S)

    def _hear(self, update: Update) -> None:
        """Lines are refreshed again and again; only another word is news."""
        others = {} if update.full else dict(self._others)
        for document in update.documents:
            others.pop(document.key, None)
            line = document.value
            if isinstance(line, ObjectStatus) and line.problems and not _is_own(document.key):
                others[document.key] = line.problems
        if others != self._others:
            self._others = others
            self._speak()

    def _speak(self) -> None:
        if self._picture is not None:
            others = [problem for problems in self._others.values() for problem in problems]
            self._voice.say(status_text(self._picture, others))


def _is_own(key: str) -> bool:
    parts = OBJECT_STATUS.parse(key)
    return parts is not None and parts[0] == "meshspec"


@asynccontextmanager
async def reading(mesh_name: str, namespace: str) -> AsyncIterator[Watched]:
    """Read while the context is open. Raises NoCluster."""
    async with connected() as cluster:
        source = Watched(cluster, mesh_name, namespace)
        async with background_tasks(source.namespaces(), *(source.policies(what) for what in KINDS)):
            yield source
