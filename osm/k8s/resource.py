"""Which kinds of objects there are and where the API server keeps them: the one table of paths. Pure.

Apart from the client, since rules for roles, webhooks and CRDs are made from the same names.
"""

from functools import partial
from typing import Final

from msgspec import Struct


class Resource(Struct, frozen=True, kw_only=True):
    """A kind in one version. `group` is empty for Kubernetes' core."""

    group: str = ""
    version: str = "v1"
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Where the objects are; of all namespaces if none is given. Names are DNS names, so nothing is escaped."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        within = f"namespaces/{namespace}" if self.namespaced and namespace else ""
        return "/".join(part for part in (root, within, self.plural, name, subresource) if part)

    def __str__(self) -> str:
        """As `kubectl` and roles name it: `pods`, `meshconfigs.config.openservicemesh.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACES: Final = Resource(plural="namespaces", kind="Namespace", namespaced=False)
PODS: Final = Resource(plural="pods", kind="Pod")
SERVICES: Final = Resource(plural="services", kind="Service")
SERVICE_ACCOUNTS: Final = Resource(plural="serviceaccounts", kind="ServiceAccount")
SECRETS: Final = Resource(plural="secrets", kind="Secret")
CONFIG_MAPS: Final = Resource(plural="configmaps", kind="ConfigMap")
EVENTS: Final = Resource(plural="events", kind="Event")
NODES: Final = Resource(plural="nodes", kind="Node", namespaced=False)
ENDPOINT_SLICES: Final = Resource(group="discovery.k8s.io", plural="endpointslices", kind="EndpointSlice")
LEASES: Final = Resource(group="coordination.k8s.io", plural="leases", kind="Lease")
DEPLOYMENTS: Final = Resource(group="apps", plural="deployments", kind="Deployment")
REPLICA_SETS: Final = Resource(group="apps", plural="replicasets", kind="ReplicaSet")
STATEFUL_SETS: Final = Resource(group="apps", plural="statefulsets", kind="StatefulSet")
DAEMON_SETS: Final = Resource(group="apps", plural="daemonsets", kind="DaemonSet")
JOBS: Final = Resource(group="batch", plural="jobs", kind="Job")
CRDS: Final = Resource(
    group="apiextensions.k8s.io", plural="customresourcedefinitions", kind="CustomResourceDefinition", namespaced=False
)

_rbac = partial(Resource, group="rbac.authorization.k8s.io")
ROLES: Final = _rbac(plural="roles", kind="Role")
ROLE_BINDINGS: Final = _rbac(plural="rolebindings", kind="RoleBinding")
CLUSTER_ROLES: Final = _rbac(plural="clusterroles", kind="ClusterRole", namespaced=False)
CLUSTER_ROLE_BINDINGS: Final = _rbac(plural="clusterrolebindings", kind="ClusterRoleBinding", namespaced=False)

_admission = partial(Resource, group="admissionregistration.k8s.io", namespaced=False)
MUTATING_WEBHOOKS: Final = _admission(plural="mutatingwebhookconfigurations", kind="MutatingWebhookConfiguration")
VALIDATING_WEBHOOKS: Final = _admission(plural="validatingwebhookconfigurations", kind="ValidatingWebhookConfiguration")
ADMISSION_POLICIES: Final = _admission(plural="validatingadmissionpolicies", kind="ValidatingAdmissionPolicy")
"""In this version from Kubernetes 1.30 on."""
ADMISSION_POLICY_BINDINGS: Final = _admission(
    plural="validatingadmissionpolicybindings", kind="ValidatingAdmissionPolicyBinding"
)

_config = partial(Resource, group="config.openservicemesh.io", version="v1alpha2")
MESH_CONFIGS: Final = _config(plural="meshconfigs", kind="MeshConfig")
MESH_ROOT_CERTIFICATES: Final = _config(plural="meshrootcertificates", kind="MeshRootCertificate")
EXTENSION_SERVICES: Final = _config(plural="extensionservices", kind="ExtensionService")

TRAFFIC_TARGETS: Final = Resource(
    group="access.smi-spec.io", version="v1alpha3", plural="traffictargets", kind="TrafficTarget"
)
TRAFFIC_SPLITS: Final = Resource(
    group="split.smi-spec.io", version="v1alpha4", plural="trafficsplits", kind="TrafficSplit"
)
"""Stored in the version that has `matches`; what is written as v1alpha2 is served as this one too."""

_specs = partial(Resource, group="specs.smi-spec.io", version="v1alpha4")
HTTP_ROUTE_GROUPS: Final = _specs(plural="httproutegroups", kind="HTTPRouteGroup")
TCP_ROUTES: Final = _specs(plural="tcproutes", kind="TCPRoute")

_policy = partial(Resource, group="policy.openservicemesh.io", version="v1alpha1")
EGRESSES: Final = _policy(plural="egresses", kind="Egress")
INGRESS_BACKENDS: Final = _policy(plural="ingressbackends", kind="IngressBackend")
RETRIES: Final = _policy(plural="retries", kind="Retry")
UPSTREAM_TRAFFIC_SETTINGS: Final = _policy(plural="upstreamtrafficsettings", kind="UpstreamTrafficSetting")
TELEMETRIES: Final = _policy(plural="telemetries", kind="Telemetry")
