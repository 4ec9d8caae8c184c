"""A picture of a cluster with a shop in a town, fed as an API server feeds it: what its tests share."""

import msgspec

from osm.k8s import objects
from osm.testing.cluster_objects import endpoint_slice, namespace, pod, service, spot
from services.endpoints import object_facts
from services.endpoints.cluster_state import ClusterState

HTTP = {"name": "http", "port": 80, "targetPort": 8080}
AT_8080 = [{"name": "http", "port": 8080}]
SHOP = "service.kubernetes.town.shop"


class Cluster:
    """A picture, fed with objects as an API server gives them."""

    def __init__(self, *, mesh="osm", control_plane="osm-system"):
        self.picture = ClusterState()
        self._scope = {"mesh": mesh, "control_plane": control_plane}

    def put(self, *things, full=False):
        """Each `thing` is a kind and an object; the step that follows from all."""
        for kind, each in things:
            self._put(kind, {_key(each): self._fact(kind, each)}, full=full)
        return self.picture.take()

    def gone(self, kind, namespace, name):
        self._put(kind, {(namespace, name): None}, full=False)
        return self.picture.take()

    def only(self, kind, *things):
        """These and no others, as after a new list."""
        self._put(kind, {_key(each): self._fact(kind, each) for each in things}, full=True)
        return self.picture.take()

    def __getitem__(self, key):
        return self.picture.documents[key]

    def __contains__(self, key):
        return key in self.picture.documents

    def endpoints(self, key=SHOP):
        return [(each.port, str(each.address)) for each in self[key].endpoints]

    def said(self):
        return [str(problem) for line in self.picture.lines.values() for problem in line.problems]

    def _put(self, kind, facts, *, full):
        put = {
            "Namespace": self.picture.put_namespaces,
            "ServiceAccount": self.picture.put_accounts,
            "Service": self.picture.put_services,
            "EndpointSlice": self.picture.put_slices,
            "Pod": self.picture.put_pods,
        }[kind]
        put(facts, full=full)

    def _fact(self, kind, each):
        seen = msgspec.convert(each, getattr(objects, kind))
        match kind:
            case "Namespace":
                return object_facts.namespace(seen, **self._scope)
            case "Service":
                return object_facts.service(seen)
            case "EndpointSlice":
                return object_facts.slice_(seen)
            case "Pod":
                return object_facts.pod(seen)
        return seen


def _key(each):
    return each["metadata"].get("namespace", ""), each["metadata"]["name"]


def shop_pod(name="shop-a", *, sidecar="a1", **more):
    return "Pod", pod("town", name, **{"labels": {"app": "shop"}, "sidecar": sidecar, "account": "shop", **more})


def shop_service(*ports, **more):
    return "Service", service("town", "shop", ports=[*(ports or [HTTP])], **{"clusterIP": "10.0.0.1", **more})


def shop_slice(*spots, **more):
    return "EndpointSlice", endpoint_slice("town", "shop", *spots, **{"ports": AT_8080, **more})


TOWN = "Namespace", namespace("town")


def town(*more, **options):
    """A meshed namespace with service, pod and slice; `more` come on top."""
    made = Cluster(**options)
    made.put(TOWN, shop_service(), shop_pod(ip="10.1.0.1"), shop_slice(spot("10.1.0.1", "shop-a")), *more)
    return made
