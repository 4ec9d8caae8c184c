"""A Kubernetes cluster as a source: namespaces, accounts, services, slices and pods, followed side by side.

Each object is read into facts as it comes; what its kinds mean together is `cluster_state`'s matter.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct, structs

from osm.bus.background_tasks import background_tasks
from osm.contracts.status import ObjectStatus
from osm.k8s import objects, resource
from osm.k8s.client import Cluster, connected
from osm.k8s.follow import Seen, follow
from osm.k8s.resource import Resource
from services.endpoints import object_facts
from services.endpoints.cluster_state import ClusterState, Key
from services.endpoints.diff import Change

O = TypeVar("O", bound=objects.Object)  # noqa: E741  # an object
F = TypeVar("F")
F_contra = TypeVar("F_contra", contravariant=True)


class Watched:
    """What was seen of the cluster; a `Source`."""

    inputs: tuple[tuple[str, int], ...] = ()
    """None of the bus: the API server's versions are no revisions of a bucket."""

    certain = True
    """What the API server lists is all there is."""

    def __init__(self, mesh: str, control_plane: str) -> None:
        self._picture = picture = ClusterState()
        self._said: dict[str, ObjectStatus] = {}
        self._changed = asyncio.Event()
        namespace = partial(object_facts.namespace, mesh=mesh, control_plane=control_plane)
        hear = self._changed.set
        self.lanes: tuple[Lane[Any, Any], ...] = (
            Lane(resource.NAMESPACES, objects.Namespace, namespace, picture.put_namespaces, hear),
            Lane(resource.SERVICE_ACCOUNTS, objects.ServiceAccount, _as_it_is, picture.put_accounts, hear),
            Lane(resource.SERVICES, objects.Service, object_facts.service, picture.put_services, hear),
            Lane(resource.ENDPOINT_SLICES, objects.EndpointSlice, object_facts.slice_, picture.put_slices, hear),
            Lane(resource.PODS, objects.Pod, object_facts.pod, picture.put_pods, hear),
        )

    @property
    def documents(self) -> Mapping[str, Struct]:
        return self._picture.documents

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(f"the full picture of {lane.what}" for lane in self.lanes if not lane.read)

    async def change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def take(self) -> Change:
        for lane in self.lanes:
            lane.pour()
        return self._picture.take()

    def unsure(self, held: Iterable[str]) -> Collection[str]:  # noqa: ARG002  # nothing is ever unsure here
        return ()

    def report(self, revision: int) -> Mapping[str, ObjectStatus | None]:
        """A line keeps the revision at which its object was first published with this meaning."""
        out: dict[str, ObjectStatus | None] = {}
        for key, line in self._picture.take_lines().items():
            old = self._said.pop(key, None)
            if line is None:
                out[key] = None
                continue
            same = old is not None and old.generation == line.generation
            out[key] = self._said[key] = structs.replace(
                line, revision=old.revision if old is not None and same else revision
            )
        return out


class Put(Protocol[F_contra]):
    """Where facts of one kind go."""

    def __call__(self, changed: Mapping[Key, F_contra | None], *, full: bool) -> None: ...


class Lane(Generic[O, F]):
    """One kind of objects: facts that came since they were last poured into the picture, the newest of each."""

    def __init__(
        self, what: Resource, kind: type[O], fact: Callable[[O], F | None], put: Put[F], hear: Callable[[], None]
    ) -> None:
        self.what = what
        self.read = False
        self._kind = kind
        self._fact = fact
        self._put = put
        self._hear = hear
        self._new: dict[Key, F | None] = {}
        self._full = False

    async def follow(self, cluster: Cluster) -> None:
        async for seen in follow(cluster, self.what, as_=self._kind):
            self.take(seen)

    def take(self, seen: Seen[O]) -> None:
        if seen.full:
            self._new, self._full, self.read = {}, True, True
        for key, found in seen.objects.items():
            self._new[key] = self._fact(found) if found is not None else None
        self._hear()

    def pour(self) -> None:
        if self._new or self._full:
            new, full = self._new, self._full
            self._new, self._full = {}, False
            self._put(new, full=full)


@asynccontextmanager
async def reading(mesh: str, control_plane: str) -> AsyncIterator[Watched]:
    """Read while the context is open. Raises NoCluster, Unreachable."""
    source = Watched(mesh, control_plane)
    async with connected() as cluster, background_tasks(*(lane.follow(cluster) for lane in source.lanes)):
        yield source


def _as_it_is(account: objects.ServiceAccount) -> objects.ServiceAccount:
    """Its name is all there is to it."""
    return account
