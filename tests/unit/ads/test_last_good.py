"""What is served while some of the newest must not be: the mix is whole, and every older form is asked for."""

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, RouteAction, RouteMatch, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)

from osm.ads.last_good import Flat, blend
from osm.ads.resource import Resource

BAD = "bad"
"""A version that must not be served."""


def cluster(name: str, version: str = "1") -> Resource:
    return Resource.of(name, Cluster(name=name), version=version)


def routes(name: str, version: str, *clusters: str) -> Resource:
    each = [Route(match=RouteMatch(prefix="/"), route=RouteAction(cluster=one)) for one in clusters]
    host = VirtualHost(name="all", domains=["*"], routes=each)
    return Resource.of(name, RouteConfiguration(name=name, virtual_hosts=[host]), version=version)


def listener(name: str, version: str, routes_name: str) -> Resource:
    manager = HttpConnectionManager()
    manager.rds.route_config_name = routes_name
    message = Listener(name=name)
    message.filter_chains.add().filters.add().typed_config.Pack(manager)
    return Resource.of(name, message, version=version)


def table(*resources: Resource) -> Flat:
    return {(each.type_url, each.name): each for each in resources}


def as_it_was(good: Resource, newest: Resource | None) -> Resource | None:
    del newest
    return good


def is_bad(resource: Resource) -> bool:
    return resource.version == BAD


def is_usable(resource: Resource) -> bool:
    return not is_bad(resource)


def served(newest: Flat, good: Flat) -> dict[str, str]:
    mix = blend(newest, good, is_usable, as_it_was, is_bad)
    return {name: each.version for (_, name), each in mix.items()}


def test_what_must_not_be_served_is_replaced_by_its_last_good_form_and_the_rest_goes_on() -> None:
    newest, good = table(cluster("a", BAD), cluster("b", "2")), table(cluster("a"), cluster("b"))
    assert served(newest, good) == {"a": "1", "b": "2"}


def test_what_never_had_a_good_form_is_left_out() -> None:
    assert served(table(cluster("a", BAD)), {}) == {}


def test_who_needs_what_is_left_out_waits() -> None:
    newest = table(cluster("new", BAD), cluster("old"), routes("r", "2", "new"))
    good = table(cluster("old"), routes("r", "1", "old"))
    assert served(newest, good) == {"old": "1", "r": "1"}


def test_who_needs_somebody_that_waits_waits_too() -> None:
    newest = table(cluster("new", BAD), routes("new routes", "1", "new"), listener("l", "2", "new routes"))
    good = table(cluster("old"), routes("old routes", "1", "old"), listener("l", "1", "old routes"))
    assert served(newest, good) == {"l": "1", "old routes": "1", "old": "1"}


def test_who_needs_what_has_an_older_form_does_not_wait() -> None:
    newest = table(cluster("a", BAD), routes("r", "2", "a"))
    good = table(cluster("a"), routes("r", "1", "a"))
    assert served(newest, good) == {"a": "1", "r": "2"}


def test_what_an_older_form_refers_to_stays_though_it_is_gone() -> None:
    newest = table(cluster("new"), routes("r", BAD, "new"))
    good = table(cluster("old"), cluster("unused"), routes("r", "1", "old"))
    assert served(newest, good) == {"new": "1", "r": "1", "old": "1"}


def test_what_is_gone_stays_for_whoever_stays_for_an_older_form() -> None:
    newest = table(listener("l", BAD, "new routes"), routes("new routes", "1"))
    good = table(cluster("old"), routes("old routes", "1", "old"), listener("l", "1", "old routes"))
    assert served(newest, good) == {"l": "1", "old routes": "1", "old": "1", "new routes": "1"}


def test_every_older_form_is_asked_for_with_what_it_stands_in_for() -> None:
    newest = table(cluster("new"), routes("r", BAD, "new"))
    good = table(cluster("old"), routes("r", "1", "old"))
    asked: dict[str, str | None] = {}

    def nothing(older: Resource, now: Resource | None) -> None:
        asked[older.name] = None if now is None else now.version

    mix = blend(newest, good, is_usable, nothing, is_bad)
    assert [name for _, name in mix] == ["new"]
    assert asked == {"r": BAD, "old": None}


def test_what_was_put_into_an_older_form_comes_along_unless_it_is_rejected() -> None:
    """It is not usable yet, as what only canaries have; but what it takes back holds at once."""
    good = table(routes("r", "1"))

    def narrowed(older: Resource, now: Resource | None) -> Resource | None:
        del now
        return routes(older.name, "narrowed", "guard")

    def mix(guard: str) -> dict[str, str]:
        newest = table(cluster("guard", guard), routes("r", "2", "guard"))
        found = blend(newest, good, lambda _: False, narrowed, is_bad)
        return {name: each.version for (_, name), each in found.items()}

    assert mix("1") == {"r": "narrowed", "guard": "1"}
    assert mix(BAD) == {"r": "narrowed"}
