"""Which pod a proxy's id means: ids are made of random uuids, and people know their pods by name."""

from collections.abc import Iterable, Mapping

from osm.contracts import labels
from osm.contracts.endpoints import workload_id
from osm.k8s.objects import Object


def by_proxy_id(pods: Iterable[Object]) -> Mapping[str, str]:
    """Proxy id → `namespace/pod`."""
    return {
        workload_id(pod.metadata.namespace, uuid): f"{pod.metadata.namespace}/{pod.metadata.name}"
        for pod in pods
        if (uuid := pod.metadata.labels.get(labels.PROXY_UUID))
    }
