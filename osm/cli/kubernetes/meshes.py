"""Which meshes a cluster has: told by the labels of their Deployments, those of OSM itself included.

Pure: Deployments and namespaces in, meshes out.
"""

from collections.abc import Iterable

from msgspec import Struct

from osm.cli.command_error import CommandError
from osm.cli.kubernetes.kubernetes_objects import Workload
from osm.contracts import labels
from osm.k8s.objects import Namespace

OLD_CONTROLLER = "osm-controller"
"""The Deployment that only OSM up to 1.2 has."""


class Mesh(Struct, frozen=True, kw_only=True, order=True):
    """A control plane. `old`: it is OSM 1.2's or before; `alone`: it wants no other mesh in its cluster."""

    name: str
    namespace: str
    version: str = ""
    members: tuple[str, ...] = ()
    old: bool = False
    alone: bool = False


def meshes(deployments: Iterable[Workload], namespaces: Iterable[Namespace]) -> tuple[Mesh, ...]:
    """Every mesh with a Deployment labelled as of OSM, sorted by name and namespace."""
    members: dict[str, list[str]] = {}
    for namespace in namespaces:
        if owner := namespace.metadata.labels.get(labels.MONITORED_BY):
            members.setdefault(owner, []).append(namespace.metadata.name)
    parts: dict[tuple[str, str], list[Workload]] = {}
    for each in deployments:
        if name := mesh_of(each):
            parts.setdefault((name, each.metadata.namespace), []).append(each)
    return tuple(
        _mesh(name, namespace, found, members.get(name, [])) for (name, namespace), found in sorted(parts.items())
    )


def mesh_of(deployment: Workload) -> str:
    """The mesh that a Deployment is part of, or empty."""
    found = deployment.metadata.labels
    if found.get(labels.APP_NAME) != labels.OSM:
        return ""
    return found.get("meshName") or found.get(labels.INSTANCE) or ""


def _mesh(name: str, namespace: str, parts: list[Workload], members: list[str]) -> Mesh:
    versions = sorted({found for part in parts if (found := part.metadata.labels.get(labels.VERSION))})
    return Mesh(
        name=name,
        namespace=namespace,
        version=", ".join(versions),
        members=tuple(sorted(members)),
        old=any(part.metadata.name == OLD_CONTROLLER for part in parts),
        alone=any(part.metadata.labels.get("enforceSingleMesh") == "true" for part in parts),
    )


def in_the_way(found: Iterable[Mesh], name: str, namespace: str, *, alone: bool) -> str:
    """Why a mesh `name` cannot be installed in `namespace`; empty if it can. `alone`: it wants no other one."""
    for mesh in found:
        what = f"mesh [{mesh.name}] in namespace [{mesh.namespace}]"
        own = f"OSM {mesh.version}'s {what}" if mesh.old else what
        if mesh.namespace == namespace:
            return (
                f"{own} is already installed in that namespace" if mesh.name != name else f"{own} is already installed"
            )
        if mesh.name == name:
            return f"{own} has the same name; meshes are told apart by their names"
        if mesh.alone:
            return f"{own} is installed to be the only one (osm.enforceSingleMesh)"
        if alone:
            return f"{own} is there, and the new one is to be the only one, without --no-enforce-single-mesh"
    return ""


def chosen(found: tuple[Mesh, ...], name: str, namespace: str) -> Mesh:
    """The one mesh that the user means; empty `name` and `namespace` mean any. Raises CommandError."""
    fitting = [each for each in found if name in ("", each.name) and namespace in ("", each.namespace)]
    if len(fitting) == 1:
        return fitting[0]
    asked = " ".join([*([f"[{name}]"] if name else []), *([f"in namespace [{namespace}]"] if namespace else [])])
    if fitting:
        told = ", ".join(f"{each.name} in {each.namespace}" for each in fitting)
        raise CommandError(
            f"the cluster has {len(fitting)} meshes; say which: {told}", remedy="--osm-namespace NAMESPACE"
        )
    raise CommandError(f"the cluster has no mesh {asked}".rstrip(), remedy="osm mesh list, or osm install")
