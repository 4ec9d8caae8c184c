"""Which object a mapping is: its apiVersion, kind, namespace and name, checked once for everything that follows.

Apart from the reading, because it is Kubernetes' rule, not YAML's. A name that passes here can be a key on the bus
and a line in a table, whatever its object turns out to mean.
"""

import re
from collections.abc import Mapping
from typing import Any, get_args

from osm.contracts.names import DnsLabel, DnsName, ObjectRef
from osm.manifests.wording import LABEL, NAME, shown

DEFAULT_NAMESPACE = "default"
"""Where an object is that names no namespace: kubectl's default."""

CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CSINode",
        "CertificateSigningRequest",
        "ClusterIssuer",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "FlowSchema",
        "GatewayClass",
        "IngressClass",
        "MutatingWebhookConfiguration",
        "Namespace",
        "Node",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttachment",
    }
)
"""Kinds without a namespace, as a cluster would tell; every other kind has one."""

_RBAC = "rbac.authorization.k8s.io"
"""The group whose names are not DNS names: `system:node` is one."""

_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_API_VERSION = re.compile(r"([a-z0-9.-]+/)?[a-z][a-z0-9]*")


class Nameless(Exception):
    """The mapping names no object: which field, and what is wrong with it."""

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")
        self.field = field
        self.what = what


def identify(body: Mapping[str, Any]) -> tuple[str, ObjectRef]:
    """The apiVersion, and the object. Raises Nameless."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    found = {"apiVersion": body.get("apiVersion"), "kind": body.get("kind"), "metadata.name": metadata.get("name")}
    missing = [field for field, value in found.items() if value in (None, "")]
    if missing:
        hint = "; a generateName is for a cluster only" if "generateName" in metadata else ""
        raise Nameless(missing[0], f"a document without {' and '.join(missing)} names no object{hint}")
    api_version = _text("apiVersion", found["apiVersion"], _API_VERSION, "a group and version such as apps/v1")
    kind = _text("kind", found["kind"], _KIND, "a kind such as Service")
    if api_version.startswith(f"{_RBAC}/"):
        name = _text("metadata.name", found["metadata.name"], re.compile(r"[^/%]+"), "a name without `/` and `%`")
    else:
        name = _text("metadata.name", found["metadata.name"], pattern(DnsName), NAME)
    if kind in CLUSTER_SCOPED:
        return api_version, ObjectRef(kind, "", name)
    namespace = metadata.get("namespace")
    if namespace in (None, ""):
        namespace = DEFAULT_NAMESPACE
    return api_version, ObjectRef(kind, _text("metadata.namespace", namespace, pattern(DnsLabel), LABEL), name)


def pattern(kind: Any) -> re.Pattern[str]:
    """What a constrained text such as DnsLabel must match as a whole, its length included."""
    meta = get_args(kind)[1]
    return re.compile(rf"(?=.{{1,{meta.max_length}}}\Z)(?:{meta.pattern})")


def _text(field: str, found: object, allowed: re.Pattern[str], says: str) -> str:
    if not isinstance(found, str):
        hint = "; put it in quotes" if isinstance(found, bool | int | float) else ""
        raise Nameless(field, f"expected {says}, found {shown(found)}{hint}")
    if not allowed.fullmatch(found):
        raise Nameless(field, f"expected {says}, found {shown(found)}")
    return found
