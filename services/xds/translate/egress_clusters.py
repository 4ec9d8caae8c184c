"""The two clusters that lead out of the mesh by Egress policies.

Apart from the way out of a mesh that lets everything out (`PASSTHROUGH`), which is a grant of its own: one that is
taken back must not live on because the other is there.
"""

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.clusters.dynamic_forward_proxy.v3.cluster_pb2 import ClusterConfig
from envoy.extensions.common.dynamic_forward_proxy.v3.dns_cache_pb2 import DnsCacheConfig

from services.xds.translate.cluster import passthrough_cluster
from services.xds.translate.messages import packed

AS_DIALLED = "egress-as-dialled"
"""To the address that the app has dialled."""

BY_NAME = "egress-by-name"
"""To the address that the name has in the DNS, as the sidecar finds it."""


def as_dialled_cluster() -> Cluster:
    cluster = passthrough_cluster()
    cluster.name = AS_DIALLED
    return cluster


def by_name_cluster() -> Cluster:
    """Envoy calls it insecure that nobody's certificate is checked here: TLS is the app's own, from end to end."""
    config = ClusterConfig(dns_cache_config=dns_cache(), allow_insecure_cluster_options=True)
    cluster = passthrough_cluster()
    cluster.name = BY_NAME
    cluster.cluster_type.name = "envoy.clusters.dynamic_forward_proxy"
    cluster.cluster_type.typed_config.CopyFrom(packed(config))
    return cluster


def dns_cache() -> DnsCacheConfig:
    """The one that the cluster and the filters before it share: the same words everywhere, or Envoy takes neither.

    Looked up as the pod's own resolver would, and again as the answers age; a name is forgotten five minutes after it
    was last asked for, as Envoy has it.
    """
    return DnsCacheConfig(name="egress", dns_lookup_family=Cluster.DnsLookupFamily.V4_PREFERRED)
