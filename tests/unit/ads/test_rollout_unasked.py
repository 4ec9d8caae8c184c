"""Routes of a listener that is held back: no proxy asks for them, so nothing waits until a canary has them."""

from collections.abc import Mapping

from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from osm.ads.canaries import Terms
from osm.ads.resource import Resource
from osm.ads.rollout import Rollout
from osm.ads.types import LISTENER, ROUTE


def listener(name: str, routes: str) -> Resource:
    manager = HttpConnectionManager()
    manager.rds.route_config_name = routes
    message = Listener(name=name)
    message.filter_chains.add().filters.add().typed_config.Pack(manager)
    return Resource.of(name, message)


def routes(name: str) -> Resource:
    return Resource.of(name, RouteConfiguration(name=name))


OLD, NEW = listener("old", "of old"), listener("new", "of new")


class Court:
    """Rejects what it is told to; the last good form always stands in."""

    def __init__(self) -> None:
        self.rejected: set[str] = set()

    def is_rejected(self, resource: Resource) -> bool:
        return resource.name in self.rejected

    def older(self, good: Resource, newest: Resource | None) -> Resource | None:
        del newest
        return good


def table(*listeners: Resource) -> Mapping[str, Mapping[str, Resource]]:
    return {
        LISTENER: {each.name: each for each in listeners},
        ROUTE: {f"of {each.name}": routes(f"of {each.name}") for each in listeners},
    }


def rollout(court: Court) -> Rollout:
    """Two members, the first the canary; the old listener and its routes are proven."""
    made = Rollout(Terms(), court)
    for member in (1, 2):
        made.group.join(member, 0.0)
    made.offer(table(OLD), revision=1, now=0.0)
    made.settle(lambda _, url: {name: each.version for name, each in table(OLD)[url].items()})
    assert not made.pending
    return made


def test_routes_of_a_listener_that_is_held_back_are_not_waited_for() -> None:
    court = Court()
    spread = rollout(court)
    spread.offer(table(OLD, NEW), revision=2, now=0.0)
    assert spread.pending.keys() == {(LISTENER, "new"), (ROUTE, "of new")}
    court.rejected.add("new")
    spread.reconsider(revision=2)
    assert not spread.pending
    assert spread.rest[LISTENER].keys() == {"old"}


def test_they_are_waited_for_once_the_listener_is_offered_again() -> None:
    court = Court()
    spread = rollout(court)
    court.rejected.add("new")
    spread.offer(table(OLD, NEW), revision=2, now=0.0)
    assert not spread.pending
    court.rejected.clear()
    spread.reconsider(revision=3)
    assert spread.pending.keys() == {(LISTENER, "new"), (ROUTE, "of new")}


def test_routes_of_the_older_form_that_stands_in_are_waited_for() -> None:
    court = Court()
    spread = rollout(court)
    changed = Resource.of("of old", RouteConfiguration(name="of old", most_specific_header_mutations_wins=True))
    court.rejected.add("new")
    spread.offer({**table(OLD, NEW), ROUTE: {**table(OLD, NEW)[ROUTE], "of old": changed}}, revision=2, now=0.0)
    assert spread.pending.keys() == {(ROUTE, "of old")}
