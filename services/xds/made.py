"""Resources, each made once for all classes of proxies that need it, and kept for as long as one of them does.

A thousand identities that may call the same service are given the same route, cluster and load assignment. Made for
each of them anew, these would take most of the time and memory of a large mesh.
Separate from classes because it knows nothing of them: it is asked for a resource, and told when endpoints have moved.
"""

from collections.abc import Hashable, Iterable
from weakref import WeakValueDictionary

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.message import Message

from osm.ads.resource import Resource
from osm.ads.types import ENDPOINT
from osm.contracts.names import ServiceName
from services.xds.documents import Documents
from services.xds.translate import AssignmentKey, Part, Planned, load_assignment


class Made:
    """Resources by what they were made from, and by what they say."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._planned: WeakValueDictionary[Planned, Resource] = WeakValueDictionary()
        self._assignments: dict[ServiceName, WeakValueDictionary[AssignmentKey, Resource]] = {}
        self._equal: WeakValueDictionary[tuple[Hashable, ...], Resource] = WeakValueDictionary()

    def of(self, part: Part) -> Resource:
        """Not built again if the plan of it was carried out before."""
        if not isinstance(part, Planned):
            return self._made(part)
        found = self._planned.get(part)
        if found is None:
            found = self._planned[part] = self._made(part)
        return found

    def assignment(self, key: AssignmentKey) -> Resource:
        """The endpoints of now; none if the service is gone."""
        of_service = self._assignments.get(key.service)
        if of_service is None:
            of_service = self._assignments[key.service] = WeakValueDictionary()
        found = of_service.get(key)
        if found is None:
            service = self._documents.services.get(key.service)
            empty = ClusterLoadAssignment(cluster_name=key.name)
            message = empty if service is None else load_assignment(key, service)
            found = of_service[key] = self._one(Resource.of(key.name, message))
        return found

    def forget_endpoints(self, services: Iterable[ServiceName]) -> None:
        """These services, or their endpoints, have changed."""
        for service in services:
            self._assignments.pop(service, None)

    def _made(self, part: Part) -> Resource:
        message = part.message
        return self._one(Resource.of(part.name, message, companions=_companions(message), origins=part.origins))

    def _one(self, resource: Resource) -> Resource:
        """Origins count too: two users' objects may ask for the same, and a rejection must name the right one."""
        key = resource.type_url, resource.name, resource.version, resource.origins
        return self._equal.setdefault(key, resource)


def _companions(message: Message) -> tuple[tuple[str, str], ...]:
    """An EDS cluster takes its load assignment along whenever it is sent: Envoy warms it only then."""
    match message:
        case Cluster(type=Cluster.EDS, eds_cluster_config=config):
            return ((ENDPOINT, config.service_name),)
    return ()
