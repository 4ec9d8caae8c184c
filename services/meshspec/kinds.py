"""Which kinds are followed on a cluster: all whose objects are policies, enforced yet or not.

The one list of them. `osm.smi` says what each means, and which it does not enforce.
"""

from osm.k8s import resource
from osm.k8s.resource import Resource

KINDS: tuple[Resource, ...] = (
    resource.MESH_CONFIGS,
    resource.MESH_ROOT_CERTIFICATES,
    resource.EXTENSION_SERVICES,
    resource.HTTP_ROUTE_GROUPS,
    resource.TCP_ROUTES,
    resource.TRAFFIC_TARGETS,
    resource.TRAFFIC_SPLITS,
    resource.EGRESSES,
    resource.INGRESS_BACKENDS,
    resource.RETRIES,
    resource.UPSTREAM_TRAFFIC_SETTINGS,
    resource.TELEMETRIES,
)
