"""`osm support bug-report`: one archive with what somebody who helps will ask for, and with nothing secret in it.

Of Secrets only names go in, of config dumps what Envoy itself redacts, and every text passes `redacted` besides.
"""

import asyncio
import re
from collections.abc import Awaitable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from msgspec import Struct

from osm.cli.kubernetes.archive import archived
from osm.cli.kubernetes.check import judged
from osm.cli.kubernetes.checks import gather
from osm.cli.kubernetes.cluster import all_of, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.kubernetes_objects import Event, Pod
from osm.cli.kubernetes.leftovers import CRDS
from osm.cli.kubernetes.meshes import Mesh, chosen
from osm.cli.kubernetes.redaction import redacted
from osm.cli.kubernetes.sidecar import pages
from osm.cli.kubernetes.survey import all_meshes
from osm.cli.output import CommandError, stderr, stdout
from osm.cli.run_async import run
from osm.k8s import resource
from osm.k8s.errors import ApiError
from osm.k8s.objects import Object

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

LOG_LINES = 2000
"""Of each container: hours of a quiet day."""

AT_A_TIME = 4
"""Sidecars that are asked at once: each costs a forwarded port and some megabytes."""

PAGES = ("config_dump", "clusters", "listeners", "certs", "stats", "ready", "server_info")
INGRESSES = resource.Resource(group="networking.k8s.io", plural="ingresses", kind="Ingress")

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""An annotation that repeats the object as it once was, as a text in a text."""

app = typer.Typer(no_args_is_help=True, help="What somebody who helps you needs to see.")


class Asked(Struct, frozen=True, kw_only=True):
    """What to include beside the control plane.

    Pods of applications are named by namespace, `namespace/pod` or `namespace/deployment`.
    """

    everything: bool = False
    ingress: bool = False
    namespaces: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()

    def includes(self, pod: Pod) -> bool:
        """A Deployment's pods are those that begin with its name, a dash and what its controllers add."""
        if not pod.meshed:
            return False
        of_deployment = any(re.fullmatch(f"{re.escape(each)}-[a-z0-9]+-[a-z0-9]+", pod.id) for each in self.deployments)
        return self.everything or pod.metadata.namespace in self.namespaces or pod.id in self.pods or of_deployment


@app.callback()
def what() -> None:
    """What to make."""


@app.command("bug-report")
@on_cluster
def bug_report(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every pod of the mesh.")] = False,
    app_namespaces: Annotated[list[str] | None, typer.Option("--app-namespaces", help="All pods of these.")] = None,
    app_deployments: Annotated[
        list[str] | None, typer.Option("--app-deployments", metavar="NAMESPACE/NAME", help="The pods of these.")
    ] = None,
    app_pods: Annotated[
        list[str] | None, typer.Option("--app-pods", metavar="NAMESPACE/POD", help="These pods.")
    ] = None,
    ingress: Annotated[bool, typer.Option("--ingress", help="The cluster's Ingresses.")] = False,
    out_file: Annotated[
        Path | None, typer.Option("--out-file", "-o", help="A .zip, .tar or .tar.gz file; by default made here.")
    ] = None,
    where: ClusterOptions,
) -> None:
    """Gather what is needed to understand a fault into one archive, keys and passwords left out.

    The control plane is always in it; options add pods.

    Example: osm support bug-report --app-namespaces bookbuyer,bookstore
    """
    asked = Asked(
        everything=everything,
        ingress=ingress,
        namespaces=_split(app_namespaces),
        deployments=_split(app_deployments),
        pods=_split(app_pods),
    )
    file = out_file or Path(f"osm-bug-report-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar.gz")
    with archived(file) as texts:
        texts |= {name: redacted(text) for name, text in run(_texts(where, asked)).items()}
    stdout.print(f"[+] Bug report with {len(texts)} files: {file}", markup=False)
    stdout.print("    read it before you publish it: names of your services and addresses are in it", markup=False)


def _split(given: list[str] | None) -> tuple[str, ...]:
    return tuple(name for each in given or () for name in each.split(",") if name)


async def _texts(where: ClusterOptions, asked: Asked) -> dict[str, str]:
    """File in the archive → text. What cannot be read says why."""
    texts: dict[str, str] = {}
    with stderr.status("reading the cluster"):
        async with opened(where) as cluster:
            mesh = chosen(await all_meshes(cluster), "", where.osm_namespace)
            facts = await gather.after(cluster, where, mesh)
            texts["check.json"] = as_json([msgspec.to_builtins(line) for line in judged(facts)])
            texts["mesh.json"] = as_json(msgspec.to_builtins(facts.meshes))
            texts["bus.json"] = as_json(msgspec.to_builtins(facts.bus))
            texts |= await _objects(cluster, mesh, [INGRESSES] if asked.ingress else [])
            texts |= await _logs(cluster, facts.standing.pods)
            chosen_pods = [pod for pod in facts.pods if asked.includes(pod)]
            texts |= await _logs(cluster, chosen_pods)
    with stderr.status(f"asking {len(chosen_pods)} sidecars"):
        gate = asyncio.Semaphore(AT_A_TIME)
        for found in await asyncio.gather(*(_sidecar(where, pod, gate) for pod in chosen_pods)):
            texts |= found
    return texts


async def _objects(cluster: "Cluster", mesh: Mesh, more: list[resource.Resource]) -> dict[str, str]:
    kinds = [*CRDS, *more, resource.MUTATING_WEBHOOKS, resource.VALIDATING_WEBHOOKS, resource.NODES]
    texts = {f"objects/{kind}.json": await said(_bodies(cluster, kind, "")) for kind in kinds}
    for kind in (resource.DEPLOYMENTS, resource.STATEFUL_SETS, resource.PODS, resource.SERVICES, resource.JOBS):
        texts[f"control-plane/{kind}.json"] = await said(_bodies(cluster, kind, mesh.namespace))
    texts["control-plane/secret-names.json"] = await said(_names(cluster, mesh.namespace))
    texts["events.json"] = await said(_events(cluster))
    return texts


async def _bodies(cluster: "Cluster", kind: resource.Resource, namespace: str) -> str:
    found = await all_of(cluster, kind, namespace, as_=dict[str, Any])
    for body in found:
        body["metadata"].pop("managedFields", None)  # half of an object, and nobody reads it
        body["metadata"].get("annotations", {}).pop(LAST_APPLIED, None)
    return as_json(found)


async def _names(cluster: "Cluster", namespace: str) -> str:
    found = await all_of(cluster, resource.SECRETS, namespace, as_=Object)
    return as_json(sorted(each.metadata.name for each in found))


async def _events(cluster: "Cluster") -> str:
    found = await all_of(cluster, resource.EVENTS, as_=Event, fields="type=Warning")
    ordered = sorted(found, key=lambda each: each.at)
    lines = [
        f"{each.involved_object.kind} {each.involved_object.namespace}/{each.involved_object.name}" for each in ordered
    ]
    return as_json([f"{about}: {each.reason}: {each.message}" for about, each in zip(lines, ordered, strict=True)])


async def _logs(cluster: "Cluster", pods: Iterable[Pod]) -> dict[str, str]:
    return {
        f"logs/{pod.id}/{container.name}.log": await said(
            cluster.logs(pod.metadata.namespace, pod.metadata.name, container.name, LOG_LINES)
        )
        for pod in pods
        for container in (*pod.spec.init_containers, *pod.spec.containers)
    }


async def _sidecar(where: ClusterOptions, pod: Pod, gate: asyncio.Semaphore) -> dict[str, str]:
    async with gate:
        try:
            found = await pages(where, pod, PAGES)
        except CommandError as error:
            found = {"why-not": f"{error}\n"}
        return {f"sidecars/{pod.id}/{name}": text for name, text in found.items()}


async def said(text: Awaitable[str]) -> str:
    """The text, or why there is none: a report with a hole is better than none."""
    try:
        return await text
    except (ApiError, CommandError) as error:
        return f"cannot be read: {error}\n"


def as_json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode() + "\n"
