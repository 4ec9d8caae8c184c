"""Which pod a proxy's id means: ids are made of random uuids, and people know their pods by name."""

from collections.abc import Iterable, Mapping

from osm.cli.kubernetes.cluster import all_of, opened
from osm.cli.kubernetes.where import Where
from osm.contracts import labels
from osm.contracts.endpoints import workload_id
from osm.k8s.objects import Object
from osm.k8s.resource import PODS


def by_proxy_id(pods: Iterable[Object]) -> Mapping[str, str]:
    """Proxy id → `namespace/pod`."""
    return {
        workload_id(pod.metadata.namespace, uuid): f"{pod.metadata.namespace}/{pod.metadata.name}"
        for pod in pods
        if (uuid := pod.metadata.labels.get(labels.PROXY_UUID))
    }


async def pod_names(where: Where) -> Mapping[str, str]:
    """Of all pods with a sidecar. Raises CommandError."""
    async with opened(where) as cluster:
        return by_proxy_id(await all_of(cluster, PODS, as_=Object, labels=labels.PROXY_UUID))
