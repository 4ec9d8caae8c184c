"""Reads the facts that `osm check` judges. What we may not read is left out, or said to be so; nothing is written."""

import asyncio
import time
from contextlib import AsyncExitStack
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING

from msgspec import structs

from osm.bus import Bus as Connected
from osm.bus import BusError
from osm.bus.connect import connect
from osm.cli.bus_state import bucket_states
from osm.cli.client import PICTURES_WITHIN_S, of_kind, pictures
from osm.cli.kubernetes import helm
from osm.cli.kubernetes.chart import chart_path
from osm.cli.kubernetes.checks.facts import After, Before, Bus, Cert, HookConfiguration, Permission, Tool
from osm.cli.kubernetes.cluster import all_of, look_up
from osm.cli.kubernetes.cluster_options import ClusterOptions
from osm.cli.kubernetes.defining import wanted
from osm.cli.kubernetes.definitions import Definition
from osm.cli.kubernetes.forward import cluster_bus
from osm.cli.kubernetes.kubernetes_objects import Event, Pod, Workload
from osm.cli.kubernetes.meshes import Mesh
from osm.cli.kubernetes.mode import MeshConfig
from osm.cli.kubernetes.program import HELM, KUBECTL, Program
from osm.cli.kubernetes.survey import all_meshes, standing
from osm.cli.output import CommandError
from osm.cli.problem_lines import object_problems
from osm.contracts import labels
from osm.contracts.channels import BUNDLE, FILE_STATUS, OBJECT_STATUS, PROGRESS, PROXY_STATUS, SERVICE_STATUS
from osm.k8s import resource
from osm.k8s.errors import Forbidden
from osm.k8s.objects import Namespace, Secret
from osm.pki.reading import BadCertificate, load_chain, not_after_s, not_before_s
from osm.runtime.settings import BadSetting
from osm.smi.onemesh import MESH_CONFIG_NAME

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

ALWAYS_NEEDED = (
    ("create", resource.NAMESPACES),
    ("create", resource.CRDS),
    ("update", resource.CRDS),
    ("create", resource.CLUSTER_ROLES),
    ("create", resource.CLUSTER_ROLE_BINDINGS),
    ("create", resource.MUTATING_WEBHOOKS),
    ("create", resource.VALIDATING_WEBHOOKS),
    ("create", resource.DEPLOYMENTS),
    ("create", resource.STATEFUL_SETS),
    ("create", resource.SERVICES),
    ("create", resource.SECRETS),
    ("create", resource.JOBS),
    ("patch", resource.NAMESPACES),
)
"""What `osm install` and its helm make or bring up to date, and what `osm namespace add` needs."""

SINCE_1_30 = (("create", resource.ADMISSION_POLICIES), ("create", resource.ADMISSION_POLICY_BINDINGS))
"""The chart makes them for an API server that has them: without this right helm stops in the middle."""

ROOT = ("osm-ca-bundle", "ca.crt", "the mesh's root")
KEPT = (ROOT, ("osm-nats-tls", "tls.crt", "the bus's certificate"))

ABSENT = "it is not there"


def needed(version: tuple[int, int]) -> tuple[tuple[str, resource.Resource], ...]:
    """Verbs and kinds that whoever installs on that Kubernetes must be allowed."""
    return (*ALWAYS_NEEDED, *(SINCE_1_30 if version >= (1, 30) else ()))


async def before(cluster: "Cluster", where: ClusterOptions, name: str) -> Before:
    """Raises ApiError."""
    home = where.home
    version = await cluster.version()
    rights = needed(version)
    asked = await asyncio.gather(
        *(cluster.may(verb, what, home if what.namespaced else "") for verb, what in rights),
    )
    return Before(
        version=version,
        tools=(await helm_tool(), _tool(KUBECTL)),
        permissions=tuple(
            Permission(verb=verb, what=str(what), allowed=allowed)
            for (verb, what), allowed in zip(rights, asked, strict=True)
        ),
        meshes=await all_meshes(cluster),
        definitions=await all_of(cluster, resource.CRDS, as_=Definition),
        wanted=wanted(chart_path()),
        mutating=await all_of(cluster, resource.MUTATING_WEBHOOKS, as_=HookConfiguration),
        name=name,
        namespace=home,
    )


def _tool(program: Program) -> Tool:
    return Tool(name=program.name, needed=program.needed, remedy=program.remedy, is_there=program.is_there)


async def helm_tool() -> Tool:
    """helm, with its version if there is one to ask."""
    tool = structs.replace(_tool(HELM), oldest=helm.OLDEST)
    return structs.replace(tool, version=await helm.version()) if tool.is_there else tool


async def after(cluster: "Cluster", where: ClusterOptions, mesh: Mesh) -> After:
    """Raises ApiError. A bus that cannot be asked is a fact like any other."""
    home = mesh.namespace
    namespaces, found, bus = await asyncio.gather(
        all_of(cluster, resource.NAMESPACES, as_=Namespace), all_meshes(cluster), read_bus(where)
    )
    secrets = {name: await _secret(cluster, name, home) for name, _, _ in KEPT}
    events = await all_of(cluster, resource.EVENTS, as_=Event, fields="type=Warning,reason=FailedCreate")
    return After(
        now_s=time.time(),
        cli_version=installed_version("osm"),
        mesh=mesh,
        meshes=found,
        standing=await standing(cluster, home),
        config=await look_up(cluster, resource.MESH_CONFIGS, MESH_CONFIG_NAME, home, as_=MeshConfig),
        definitions=await all_of(cluster, resource.CRDS, as_=Definition),
        wanted=wanted(chart_path()),
        mutating=await all_of(cluster, resource.MUTATING_WEBHOOKS, as_=HookConfiguration),
        validating=await all_of(cluster, resource.VALIDATING_WEBHOOKS, as_=HookConfiguration),
        roots_pem=roots(secrets[ROOT[0]], bus),
        certificates=tuple(kept(home, each, secrets[each[0]], bus) for each in KEPT),
        namespaces=namespaces,
        pods=await _pods(cluster, mesh, namespaces),
        events=events,
        replica_sets=await _replica_sets(cluster, events),
        bus=bus,
    )


async def _pods(cluster: "Cluster", mesh: Mesh, namespaces: tuple[Namespace, ...]) -> tuple[Pod, ...]:
    own = (each.metadata.name for each in namespaces if each.metadata.labels.get(labels.MONITORED_BY) == mesh.name)
    found = await asyncio.gather(*(all_of(cluster, resource.PODS, name, as_=Pod) for name in own))
    return tuple(pod for pods in found for pod in pods)


async def _replica_sets(cluster: "Cluster", events: tuple[Event, ...]) -> tuple[Workload, ...]:
    told = sorted({each.involved_object.namespace for each in events if each.involved_object.kind == "ReplicaSet"})
    found = await asyncio.gather(*(all_of(cluster, resource.REPLICA_SETS, name, as_=Workload) for name in told))
    return tuple(each for sets in found for each in sets)


async def _secret(cluster: "Cluster", name: str, namespace: str) -> Secret | str:
    """The Secret, or why there is none to read."""
    try:
        found = await look_up(cluster, resource.SECRETS, name, namespace, as_=Secret)
    except Forbidden:
        return "you may not read it"
    return found if found is not None else ABSENT


def roots(secret: Secret | str, bus: Bus) -> bytes:
    """What the mesh is told to trust; before it is, what the built-in root's Secret says."""
    if bus.roots_pem:
        return bus.roots_pem.encode()
    return secret.data.get(ROOT[1], b"") if isinstance(secret, Secret) else b""


def kept(home: str, what: tuple[str, str, str], secret: Secret | str, bus: Bus) -> Cert:
    """One of `KEPT`. Where another than the built-in issuer signs, there is no Secret of the root: it is published."""
    name, key, title = what
    if what == ROOT and secret == ABSENT and bus.roots_pem:
        published = Secret(data={key: bus.roots_pem.encode()})
        return certificate(f"{title} (published; it is kept elsewhere)", published, key)
    return certificate(f"{title} (Secret {home}/{name})", secret, key)


def certificate(where: str, secret: Secret | str, key: str) -> Cert:
    """The times of the first certificate of a Secret's entry, or why they are not known."""
    if isinstance(secret, str):
        return Cert(where=where, why=secret)
    try:
        first = load_chain(secret.data.get(key, b""))[0]
    except BadCertificate as error:
        return Cert(where=where, why=f"{key}: {error}")
    return Cert(where=where, not_before_s=not_before_s(first), not_after_s=not_after_s(first))


async def read_bus(where: ClusterOptions) -> Bus:
    """What the mesh says of itself; `why` if it cannot be asked."""
    try:
        async with AsyncExitStack() as stack:
            reach = await stack.enter_async_context(cluster_bus(where))
            return await _heard(await stack.enter_async_context(connect(reach.url, "cli", reach.settings("cli"))))
    except CommandError as error:
        return Bus(why=error.what)
    except (BusError, BadSetting, OSError) as error:
        return Bus(why=str(error))


async def _heard(bus: Connected) -> Bus:
    found = await pictures(bus)
    if not found:
        return Bus(why=f"no picture of any bucket within {PICTURES_WITHIN_S:g} s")
    bundles = of_kind(found["certmgr"].documents, BUNDLE) if "certmgr" in found else ()
    status = tuple(each for each in found["status"].documents if not each.deleted) if "status" in found else ()
    return Bus(
        buckets=tuple(bucket_states(found, of_kind(status, PROGRESS))),
        services=tuple(of_kind(status, SERVICE_STATUS)),
        proxies=tuple(of_kind(status, PROXY_STATUS)),
        problems=tuple(object_problems(of_kind(status, OBJECT_STATUS), of_kind(status, FILE_STATUS))),
        roots_pem="".join(root for bundle in bundles for root in bundle.roots_pem),
    )
