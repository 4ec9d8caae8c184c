"""`osm prepare`: a new mesh's Secrets, MeshConfig and Telemetry. A Job of the chart runs it at install and upgrade.

Apart from `osm install`, so that a mesh that is rendered and applied by other tools is made in the same way, and keys
never pass through an operator's machine or a Helm release. What is there already is not touched, unless it follows
from something else or ends soon. Several may run at once: who is slower looks again and finds the work done.
"""

import asyncio
import time
from collections.abc import Mapping
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from osm.cli.kubernetes.cluster import all_of, look_up, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.mesh_secrets import BUS_TLS, BadSecret, Data, Mesh, due, names
from osm.cli.output import CommandError, stdout
from osm.cli.run_async import run
from osm.contracts import labels
from osm.k8s.errors import Conflict, NotFound
from osm.k8s.objects import Object, Secret
from osm.k8s.resource import MESH_CONFIGS, SECRETS, TELEMETRIES, Resource
from osm.smi.onemesh import MESH_CONFIG_NAME
from osm.smi.telemetry import TELEMETRY_NAME

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

ROUNDS = 10
"""Each of them is lost only to another `osm prepare` that has written something, and there is little to write."""

KIND_WITHIN_S = 60.0
"""A cluster learns a new kind within seconds; the Job tries again later if it has not by then."""

LOOK_EVERY_S = 1.0


@on_cluster
def prepare(
    where: ClusterOptions,
    *,
    mesh_name: Annotated[str, typer.Option(help="Name of the mesh.")] = "osm",
    trust_domain: Annotated[str, typer.Option(help="Trust domain of its certificates.")] = "cluster.local",
    cluster_domain: Annotated[str, typer.Option(help="DNS domain of the cluster.")] = "cluster.local",
    root: Annotated[
        str, typer.Option("--ca-bundle-secret", help="Secret with the mesh's root; empty makes none.")
    ] = "osm-ca-bundle",
    mesh_config: Annotated[
        Path | None, typer.Option(help="File with the spec (JSON) of the first MeshConfig; none makes none.")
    ] = None,
    access_log: Annotated[
        bool, typer.Option("--access-log", help="Make a Telemetry with the first MeshConfig: all sidecars log.")
    ] = False,
) -> None:
    """Make a mesh's Secrets and its MeshConfig, as far as they are not there yet.

    Example: osm prepare --osm-namespace osm-system
    """
    mesh = Mesh(
        namespace=where.home,
        trust_domain=trust_domain,
        cluster_domain=cluster_domain,
        root_secret=root,
    )
    spec = _read_spec(mesh_config) if mesh_config else None
    run(_prepare(where, mesh, mesh_name, spec, access_log=access_log))


def _read_spec(file: Path) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        raise CommandError(f"file {file}: {error}") from error


async def _prepare(
    where: ClusterOptions, mesh: Mesh, name: str, spec: Mapping[str, Any] | None, *, access_log: bool
) -> None:
    marks = {labels.APP_NAME: labels.OSM, labels.INSTANCE: name, labels.VERSION: installed_version("osm")}
    async with opened(where) as cluster:
        await settle(cluster, mesh, marks)
        if spec is not None:
            if access_log:
                await make_telemetry(cluster, mesh.namespace, marks)
            await make_mesh_config(cluster, mesh.namespace, spec, marks)


async def settle(cluster: "Cluster", mesh: Mesh, marks: Mapping[str, str]) -> None:
    """Write Secrets until nothing is due. Raises CommandError for one that cannot be what it should, and ApiError."""
    for _ in range(ROUNDS):
        found = await _read(cluster, mesh)
        data = {name: secret.data for name, secret in found.items()}
        try:
            changes = due(data, mesh, time.time())
        except BadSecret as error:
            raise CommandError(str(error)) from error
        if not changes:
            return
        try:
            for name, entries in changes.items():
                await _write(cluster, mesh.namespace, name, entries, found=found.get(name), marks=marks)
        except Conflict:
            continue
    raise CommandError(f"Secrets of {mesh.namespace}: others changed them {ROUNDS} times meanwhile")


async def make_telemetry(cluster: "Cluster", namespace: str, marks: Mapping[str, str]) -> None:
    """Create it for a mesh that is new, before its MeshConfig says that it is not: who deletes it wants no access logs,
    and no upgrade brings it back. Nor is it made beside one that is for the whole mesh already.

    Raises NotFound if the cluster has no such kind.
    """
    if await look_up(cluster, MESH_CONFIGS, MESH_CONFIG_NAME, namespace, as_=Object) is not None:
        return
    found = await all_of(cluster, TELEMETRIES, namespace, as_=dict[str, Any])
    if all(each.get("spec", {}).get("selector") for each in found):
        body = {"metadata": {"name": TELEMETRY_NAME, "namespace": namespace, "labels": dict(marks)}}
        await _make(cluster, TELEMETRIES, {**body, "spec": {"accessLog": {}}})


async def make_mesh_config(
    cluster: "Cluster", namespace: str, spec: Mapping[str, Any], marks: Mapping[str, str]
) -> None:
    """Create it unless it is there: from then on it is its user's. Raises NotFound if the cluster has no such kind."""
    body = {"metadata": {"name": MESH_CONFIG_NAME, "namespace": namespace, "labels": dict(marks)}, "spec": spec}
    await _make(cluster, MESH_CONFIGS, body)


async def _make(cluster: "Cluster", what: Resource, body: Mapping[str, Any]) -> None:
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    deadline = time.monotonic() + KIND_WITHIN_S
    while True:
        try:
            await cluster.create(what, body, namespace)
        except Conflict:
            stdout.print(f"{what.kind} {namespace}/{name} is there and stays as it is")
        except NotFound:
            if time.monotonic() >= deadline:
                raise
            await asyncio.sleep(LOOK_EVERY_S)
            continue
        else:
            stdout.print(f"{what.kind} {namespace}/{name} made")
        return


async def _read(cluster: "Cluster", mesh: Mesh) -> dict[str, Secret]:
    """Those that are there. One by one: a Job that may list Secrets could read every other one too."""
    found = {name: await look_up(cluster, SECRETS, name, mesh.namespace, as_=Secret) for name in names(mesh)}
    return {name: secret for name, secret in found.items() if secret is not None}


async def _write(
    cluster: "Cluster", namespace: str, name: str, entries: Data, *, found: Secret | None, marks: Mapping[str, str]
) -> None:
    """Raises Conflict if another has made or changed it since it was read."""
    if found is None:
        body = {"metadata": {"name": name, "labels": dict(marks)}, "type": "Opaque", "data": entries}
        await cluster.create(SECRETS, body, namespace)
    else:
        body = {"metadata": {"resourceVersion": found.metadata.resource_version}, "data": entries}
        await cluster.patch(SECRETS, name, body, namespace)
    stdout.print(f"Secret {namespace}/{name}: {'made' if found is None else 'brought up to date'}")
    if found is not None and name == BUS_TLS:
        stdout.print(f"  nats-server reads it when it starts: kubectl -n {namespace} rollout restart sts/osm-nats")
