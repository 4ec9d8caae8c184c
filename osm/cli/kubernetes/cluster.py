"""The API server, as commands use it: opened for a block, its refusals told as errors with a next step.

The only place of the CLI that loads `osm.k8s.client`, and it does so when a command runs: the client behind it takes
longer to import than `osm --help` may take.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from osm.cli.kubernetes.cluster_options import ClusterOptions
from osm.cli.output import CommandError
from osm.k8s.errors import ApiError, Conflict, Forbidden, NoCluster, NotFound, Unreachable
from osm.k8s.resource import Resource

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

T = TypeVar("T")


@asynccontextmanager
async def opened(where: ClusterOptions) -> AsyncIterator["Cluster"]:
    """The cluster while the context is open. Raises CommandError for whatever the API server refuses in it."""
    from osm.k8s.client import connected  # noqa: PLC0415  # see above: help must not wait for it

    try:
        async with connected(where.kubeconfig, where.context) as cluster:
            yield cluster
    except NoCluster as error:
        raise CommandError(str(error), remedy="--kubeconfig FILE, or osm demo for a mesh without a cluster") from error
    except ApiError as error:
        raise CommandError(str(error), remedy=next_step(error)) from error


def next_step(error: ApiError) -> str:
    """What a user can do about a refusal."""
    match error:
        case Forbidden(status=401):
            return "log in again: the cluster does not know these credentials; kubectl auth whoami"
        case Forbidden():
            return "ask an administrator of the cluster for that permission; kubectl auth can-i --list shows yours"
        case Conflict():
            return "the same command again: somebody changed it at the same time"
        case Unreachable():
            return "kubectl cluster-info shows whether the cluster answers; --kubeconfig and --context name another"
        case _:
            return "osm check, or osm check --pre before an installation"


async def look_up(cluster: "Cluster", what: Resource, name: str, namespace: str = "", *, as_: type[T]) -> T | None:
    """The object, or None if there is none. Raises ApiError for anything else."""
    try:
        return await cluster.get(what, name, namespace, as_=as_)
    except NotFound:
        return None


async def all_of(
    cluster: "Cluster", what: Resource, namespace: str = "", *, as_: type[T], labels: str = "", fields: str = ""
) -> tuple[T, ...]:
    """The objects, none if the cluster does not know the kind. Raises ApiError for anything else."""
    try:
        return await cluster.list(what, namespace, as_=as_, labels=labels, fields=fields)
    except NotFound:
        return ()


async def remove(cluster: "Cluster", what: Resource, name: str, namespace: str = "") -> bool:
    """Delete it; False if it was not there. Raises ApiError for anything else."""
    try:
        await cluster.delete(what, name, namespace)
    except NotFound:
        return False
    return True
