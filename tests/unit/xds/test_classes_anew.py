"""A class that is built anew takes over what stays; what comes out is what building from nothing gives."""

from collections.abc import Callable, Mapping

import pytest
from google.protobuf.message import Message
from msgspec import Struct, structs

from bench.world import World, target_key
from osm.ads.types import CLUSTER, ENDPOINT, ROUTE
from osm.bus import Document, Update
from osm.contracts.channels import MESH_CONFIG, UPSTREAM_TRAFFIC_SETTING
from osm.contracts.endpoints import ServicePort
from osm.contracts.policy import Mesh
from osm.contracts.traffic_settings import (
    Allowance,
    ConnectionSettings,
    TrafficSettings,
    UpstreamTrafficSetting,
)
from services.catalog.state import Catalog
from services.xds.classes import Classes, ProxyClass
from services.xds.documents import Changes, Documents
from services.xds.translate import cluster, outbound

WORLD = World(streams=4, services=8, identities=4, endpoints_each=2)
TRUST_DOMAIN = "cluster.local"


class Line:
    """Documents as users and platforms write them, to the classes of all proxies."""

    def __init__(self) -> None:
        self._catalog = Catalog()
        self.documents = Documents()
        changes = self._catalog.apply(update("meshspec", WORLD.policies()), update("endpoints", WORLD.endpoints()))
        self.documents.apply(update("catalog", changes.puts))
        self.classes = Classes(TRUST_DOMAIN, self.documents)
        self.all = tuple(sorted({ProxyClass.of(each) for each in self.documents.workloads.values()}, key=str))
        for each in self.all:
            self.classes.configuration(each)

    def write(self, bucket: str, key: str, value: Struct) -> None:
        changes = self._catalog.apply(update(bucket, {key: value}, full=False))
        learnt: Changes = self.documents.apply(update("catalog", changes.puts, full=False))
        self.classes.rebuild(learnt)
        self.classes.moved(learnt)


def update(bucket: str, documents: Mapping[str, Struct], *, full: bool = True) -> Update:
    said = tuple(Document(bucket=bucket, key=key, value=value, revision=1) for key, value in documents.items())
    return Update(bucket=bucket, full=full, documents=said, revision=1)


def shut(number: int) -> Struct:
    """The target, with one of its sources shut out."""
    target = WORLD.target(number)
    return structs.replace(target, sources=target.sources[1:])


def with_port(number: int) -> Struct:
    service = WORLD.service(number)
    ports = (*service.service.ports, ServicePort(port=81, name="more"))
    return structs.replace(service, service=structs.replace(service.service, ports=ports))


def test_what_is_built_anew_is_what_would_be_built_from_nothing() -> None:
    line = Line()
    for bucket, key, value in (
        ("meshspec", target_key(0), WORLD.target(0, edited=True)),
        ("endpoints", WORLD.service_key(1), WORLD.service(1, moved=1)),
        ("meshspec", target_key(0), WORLD.target(0)),
        ("meshspec", target_key(1), shut(1)),
        ("endpoints", WORLD.service_key(1), WORLD.service(1, moved=2)),
        ("meshspec", target_key(1), WORLD.target(1)),
        ("endpoints", WORLD.service_key(2), with_port(2)),
        ("meshspec", MESH_CONFIG.key(), Mesh(permissive=False, egress=True)),
        ("meshspec", MESH_CONFIG.key(), Mesh(permissive=True)),
        ("endpoints", WORLD.service_key(3), with_port(3)),
        ("endpoints", WORLD.service_key(2), WORLD.service(2, moved=3)),
    ):
        line.write(bucket, key, value)
        fresh = Classes(TRUST_DOMAIN, line.documents)
        for each in line.all:
            assert line.classes.configuration(each).resources == fresh.configuration(each).resources


def test_an_edit_builds_what_it_concerns_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr(outbound, "upstream_cluster", counted(built, cluster.upstream_cluster))
    monkeypatch.setattr(outbound, "_own_routes", counted(built, outbound._own_routes))
    line = Line()
    assert len(built) == len(set(built)) * 2, "a cluster and its routes are built once, whoever may call"
    built.clear()
    line.write("meshspec", target_key(0), WORLD.target(0, edited=True))
    assert built == [], "what may be called at the own services concerns no way out"
    line.write("meshspec", target_key(0), shut(0))
    assert built == [], "a way that is closed leaves the others as they are"
    line.write("meshspec", target_key(0), WORLD.target(0))
    assert built == [], "a way that is opened is one that others have"
    line.write("endpoints", WORLD.service_key(2), with_port(2))
    assert built == ["bench/service-2|81"] * 2, "a port more is all that is built, and once for everybody"


def test_limits_of_a_service_build_its_clusters_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr(outbound, "upstream_cluster", counted(built, cluster.upstream_cluster))
    line = Line()
    built.clear()
    name = WORLD.service_name(1)
    few = TrafficSettings(connections=ConnectionSettings(max_connections=1))
    line.write("meshspec", setting_key(1), setting(1, few))
    assert built
    assert {each.partition("|")[0] for each in built} == {str(name)}
    built.clear()
    line.write("meshspec", setting_key(1), setting(1, structs.replace(few, local_tcp=Allowance(count=1, unit="hour"))))
    assert built == [], "what the servers count is no matter of their clients"


def setting(number: int, says: TrafficSettings) -> Struct:
    name = WORLD.service_name(number)
    return UpstreamTrafficSetting(namespace=name.namespace, name="few", service=name.name, settings=says)


def setting_key(number: int) -> str:
    return UPSTREAM_TRAFFIC_SETTING.key(WORLD.service_name(number).namespace, "few")


def counted(built: list[str], real: Callable[..., Message]) -> Callable[..., Message]:
    def build(*of: object) -> Message:
        built.append(str(getattr(of[0], "name", of[0])))
        return real(*of)

    return build


def test_assignments_and_clusters_of_other_services_are_the_very_same() -> None:
    line = Line()
    before = {each: line.classes.configuration(each) for each in line.all}
    line.write("endpoints", WORLD.service_key(0), with_port(0))
    for each, was in before.items():
        now = line.classes.configuration(each)
        assert len(now.resources[ENDPOINT]) == len(was.resources[ENDPOINT]) + 1
        for type_url in (CLUSTER, ENDPOINT, ROUTE):
            kept = [name for name, one in was.resources[type_url].items() if now.resources[type_url].get(name) is one]
            assert len(kept) >= len(was.resources[type_url]) - 2
