"""What an older form is given to take something back, such as a question to somebody, comes with what that needs."""

from collections.abc import Mapping

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import ExtAuthz

from osm.ads.canaries import Terms
from osm.ads.references import needs
from osm.ads.resource import Resource
from osm.ads.rollout import Rollout
from osm.ads.types import CLUSTER, LISTENER


def listener(prefix: str, asks: str = "") -> Resource:
    message = Listener(name="inbound", stat_prefix=prefix)
    if asks:
        question = ExtAuthz()
        question.grpc_service.envoy_grpc.cluster_name = asks
        message.filter_chains.add().filters.add().typed_config.Pack(question)
    return Resource.of("inbound", message)


OLD, NEW, FORM = listener("old"), listener("new", "authorizer"), listener("old", "authorizer")
AUTHORIZER = Resource.of("authorizer", Cluster(name="authorizer"))


class Court:
    """The old listener stands in as one that asks."""

    def __init__(self) -> None:
        self.rejected: set[str] = set()

    def is_rejected(self, resource: Resource) -> bool:
        return resource.version in self.rejected

    def older(self, good: Resource, newest: Resource | None) -> Resource | None:
        del good, newest
        return FORM


def table(*resources: Resource) -> Mapping[str, Mapping[str, Resource]]:
    return {url: {each.name: each for each in resources if each.type_url == url} for url in (CLUSTER, LISTENER)}


def rollout(court: Court) -> Rollout:
    """Two members, the first the canary; the old listener is proven, the new one offered."""
    made = Rollout(Terms(), court)
    for member in (1, 2):
        made.group.join(member, 0.0)
    made.offer(table(OLD), revision=1, now=0.0)
    made.settle(lambda _, url: {name: each.version for name, each in table(OLD)[url].items()})
    made.offer(table(NEW, AUTHORIZER), revision=2, now=0.0)
    return made


def test_who_is_asked_by_name_of_a_cluster_is_needed() -> None:
    assert needs(NEW) == {(CLUSTER, "authorizer")}
    assert needs(OLD) == frozenset()


def test_those_who_wait_are_given_what_their_stand_in_needs() -> None:
    spread = rollout(Court())
    assert spread.pending.keys() == {(LISTENER, "inbound"), (CLUSTER, "authorizer")}
    assert spread.rest[LISTENER]["inbound"] is FORM
    assert spread.rest[CLUSTER]["authorizer"] is AUTHORIZER


def test_but_not_what_has_been_rejected() -> None:
    court = Court()
    spread = rollout(court)
    court.rejected.add(AUTHORIZER.version)
    spread.reconsider(revision=2)
    assert spread.canary[LISTENER]["inbound"] is FORM
    assert "authorizer" not in spread.canary.get(CLUSTER, {})
    assert "authorizer" not in spread.rest.get(CLUSTER, {})
