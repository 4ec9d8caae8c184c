"""What commands read from a running mesh: whole pictures of buckets, and answers to questions.

The same over an embedded mesh's socket and over NATS: both are a bus.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Annotated, TypeVar

import typer
from msgspec import Struct

from osm.bus import Bus, BusError, Document, Update
from osm.bus.connect import connect
from osm.cli.find_mesh import find, live, program
from osm.cli.kubernetes.cluster import all_of, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions
from osm.cli.kubernetes.forward import cluster_bus
from osm.cli.kubernetes.pod_names import by_proxy_id
from osm.cli.nats_access import NatsAccess
from osm.cli.output import CommandError, stderr
from osm.contracts import labels
from osm.contracts.channels import BUCKETS, State
from osm.k8s.objects import Object
from osm.k8s.resource import PODS
from osm.runtime.settings import BadSetting

T = TypeVar("T", bound=Struct)

BusOption = Annotated[
    str | None,
    typer.Option(
        "--bus",
        envvar="OSM_BUS",
        help="The mesh: unix:/path or nats://host:port; by default the one that runs here, else the cluster's.",
    ),
]

PICTURES_WITHIN_S = 3.0
"""A synced bucket shows itself within milliseconds; one that has not by then is not synced."""

ANSWER_TIMEOUT_S = 5.0
"""How long a command waits for a first picture; a mesh that is up answers at once."""


def in_cluster(bus: str | None, where: ClusterOptions) -> bool:
    """Whether the mesh that the user means is a cluster's: one is named, or there is one and no mesh runs here."""
    if bus:
        return False
    return where.named or (not live() and where.names_a_cluster())


@asynccontextmanager
async def mesh(bus: str | None, where: ClusterOptions) -> AsyncIterator[Bus]:
    """The bus of the mesh that the user means. Raises CommandError if there is none or it cannot be reached."""
    async with AsyncExitStack() as stack:
        if in_cluster(bus, where):
            reach, remedy = await stack.enter_async_context(cluster_bus(where)), f"{program()} check"
        else:
            reach, remedy = (
                NatsAccess.told(find(bus), os.environ),
                f"{program()} demo starts a mesh; --bus names another one",
            )
            _say_if_chosen(reach.url, bus, where)
        try:
            connected = await stack.enter_async_context(connect(reach.url, "cli", reach.settings("cli")))
        except (BusError, BadSetting, OSError) as error:
            raise CommandError(f"{reach.url}: {error}", remedy=remedy) from error
        try:
            yield connected
        except BusError as error:
            raise CommandError(f"{reach.url}: {error}", remedy=remedy) from error


def _say_if_chosen(url: str, bus: str | None, where: ClusterOptions) -> None:
    """Whoever has forgotten that a mesh runs here takes what follows for the cluster's."""
    if not bus and where.names_a_cluster():
        words = f"asking the mesh on this machine, {url}; --context or --kubeconfig asks a cluster's"
        stderr.print(words, style="dim", markup=False)


async def pods_by_proxy(bus: str | None, where: ClusterOptions) -> Mapping[str, str]:
    """Proxy id → `namespace/pod`, if the mesh is a cluster's; else empty: there ids are names."""
    if not in_cluster(bus, where):
        return {}
    async with opened(where) as cluster:
        return by_proxy_id(await all_of(cluster, PODS, as_=Object, labels=labels.PROXY_UUID))


async def picture(bus: Bus, bucket: str) -> tuple[Document, ...]:
    """Every document of a bucket now. Raises CommandError if its writer has not filled it in time."""
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            async for update in bus.watch(bucket):
                return tuple(document for document in update.documents if not document.deleted)
    except TimeoutError:
        pass
    raise CommandError(
        f"bucket {bucket}: no full picture within {ANSWER_TIMEOUT_S:g} s; its writer is not up",
        remedy=f"{program()} status shows which services run",
    )


async def pictures(bus: Bus) -> dict[str, Update]:
    """The full picture of each bucket that has one within PICTURES_WITHIN_S, by bucket."""
    found: dict[str, Update] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(PICTURES_WITHIN_S):
            async for update in bus.watch(*BUCKETS):
                if update.full:
                    found[update.bucket] = update
                if len(found) == len(BUCKETS):
                    break
    return found


def of_kind(documents: tuple[Document, ...], state: State[T]) -> list[T]:
    """The values of one kind, in the order of their keys."""
    return [
        document.value
        for document in sorted(documents, key=lambda document: document.key)
        if isinstance(document.value, state.payload) and state.parse(document.key) is not None
    ]
