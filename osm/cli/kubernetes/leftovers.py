"""What a mesh leaves behind that helm does not remove: made by our services, or by users who were told to.

Pure: objects in, names out. A Secret or lease of another mesh in the same namespace is nobody's leftover.
"""

from collections.abc import Iterable, Mapping

from osm.contracts import labels
from osm.k8s import resource
from osm.k8s.objects import Namespace, Object
from osm.k8s.resource import Resource

CLAIMS = Resource(plural="persistentvolumeclaims", kind="PersistentVolumeClaim")
"""A StatefulSet's claims outlive it."""

OWN_GROUPS = frozenset({"config.openservicemesh.io", "policy.openservicemesh.io"})
SHARED_GROUPS = frozenset({"access.smi-spec.io", "specs.smi-spec.io", "split.smi-spec.io"})
"""SMI's kinds may have been installed by another mesh, which goes on needing them."""

IN_HOME = (
    resource.SECRETS,
    resource.LEASES,
    resource.CONFIG_MAPS,
    resource.JOBS,
    CLAIMS,
    resource.MESH_CONFIGS,
    resource.EXTENSION_SERVICES,
    resource.MESH_ROOT_CERTIFICATES,
    resource.TELEMETRIES,
)
"""Kinds of which the control plane's namespace may hold some."""

CLUSTER_WIDE = (
    resource.MUTATING_WEBHOOKS,
    resource.VALIDATING_WEBHOOKS,
    resource.ADMISSION_POLICY_BINDINGS,
    resource.ADMISSION_POLICIES,
    resource.CLUSTER_ROLES,
    resource.CLUSTER_ROLE_BINDINGS,
)
"""Kinds outside of namespaces of which helm may leave some after a broken uninstall."""

_OF_PODS = frozenset({labels.PROXY_UUID, labels.INGRESS_GATEWAY})
"""Labels of Secrets that pods outside of our namespace read."""

OWN_NAMES = ("osm-ca-", "osm-injector", "osm-mesh-config", "osm-metrics", "osm-nats")
"""Names, or beginnings of names, that are ours without a label."""

CRDS: tuple[Resource, ...] = tuple(
    sorted(
        {
            each
            for each in vars(resource).values()
            if isinstance(each, Resource) and each.group in OWN_GROUPS | SHARED_GROUPS
        },
        key=str,
    )
)
"""Every kind that the chart brings."""


def of_mesh(mesh: str, found: Iterable[Object], *, named: bool = False) -> tuple[str, ...]:
    """Names of the objects that are the mesh's. `named`: a name of ours counts too, where no label says otherwise."""
    return tuple(sorted(each.metadata.name for each in found if _is_ours(mesh, each, named=named)))


def _is_ours(mesh: str, found: Object, *, named: bool) -> bool:
    said = found.metadata.labels
    if said.get(labels.APP_NAME) == labels.OSM:
        return said.get(labels.INSTANCE, mesh) == mesh
    return named and not said.get(labels.APP_NAME) and found.metadata.name.startswith(OWN_NAMES)


def owners(namespaces: Iterable[Namespace]) -> Mapping[str, str]:
    """Namespace → the mesh it is in."""
    return {
        each.metadata.name: owner for each in namespaces if (owner := each.metadata.labels.get(labels.MONITORED_BY, ""))
    }


def bootstraps(mesh: str, secrets: Iterable[Object], owner: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """(namespace, name) of sidecars' and gateways' Secrets in namespaces that no other mesh has."""
    return tuple(
        sorted(
            each.metadata.key
            for each in secrets
            if owner.get(each.metadata.namespace, mesh) == mesh
            and each.metadata.labels.get(labels.INSTANCE, mesh) == mesh
            and (
                not _OF_PODS.isdisjoint(each.metadata.labels) or each.metadata.name.startswith(labels.BOOTSTRAP_PREFIX)
            )
        )
    )


def is_shared(crd: Object, group: str) -> bool:
    """Whether somebody else brought this definition of a kind of the group."""
    return group in SHARED_GROUPS and crd.metadata.labels.get(labels.APP_NAME) != labels.OSM
