"""Whatever happens in whatever order, the catalog ends where a build from nothing ends."""

from collections.abc import Mapping
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from osm.bus import Document, Update
from osm.contracts.channels import (
    BARE,
    EGRESS,
    HTTP_ROUTE_GROUP,
    IDENTITY,
    INGRESS_BACKEND,
    MESH_CONFIG,
    RETRY,
    SERVICE,
    TCP_ROUTE,
    TRAFFIC_SPLIT,
    TRAFFIC_TARGET,
    UPSTREAM_TRAFFIC_SETTING,
    WORKLOAD,
)
from osm.contracts.egress import Egress, EgressPort, EgressProtocol
from osm.contracts.endpoints import (
    BareService,
    Endpoint,
    MeshIdentity,
    Service,
    ServiceEndpoints,
    ServicePort,
    Transparent,
    Workload,
)
from osm.contracts.names import Address, Identity, ServiceName
from osm.contracts.policy import (
    HttpMatch,
    HttpRouteGroup,
    HttpRule,
    IngressBackend,
    IngressPort,
    Mesh,
    SourceRange,
    SourceService,
    SplitBackend,
    TcpRoute,
    TcpRule,
    TrafficSplit,
    TrafficTarget,
)
from osm.contracts.traffic_settings import Retry, RetryTerms, TrafficSettings, UpstreamTrafficSetting
from services.catalog.state import Catalog

Bucket = dict[str, Struct]

# Few names, so that objects meet, vanish beneath one another and come back.
namespaces = st.sampled_from(["a", "b"])
names = st.sampled_from(["x", "y", "z"])
identities = st.builds(Identity, namespaces, names)
ports = st.sampled_from([80, 81])
matches = st.builds(HttpMatch, name=names, path_regex=st.sampled_from(["/p", "/q"]))
rules = st.one_of(
    st.builds(HttpRule, route_group=names, matches=st.lists(names, max_size=1).map(tuple)),
    st.builds(TcpRule, route=names),
)
service_ports = st.lists(
    st.builds(ServicePort, port=ports, protocol=st.sampled_from(["http", "tcp"])),
    max_size=2,
    unique_by=lambda port: port.port,
).map(tuple)


@st.composite
def policies(draw: st.DrawFn) -> tuple[str, Struct]:  # noqa: PLR0911  # one a kind
    namespace, name = draw(namespaces), draw(names)
    kind = draw(
        st.sampled_from(
            [
                "target",
                "target",
                "target",
                "split",
                "split",
                "group",
                "route",
                "mesh",
                "ingress",
                "retry",
                "setting",
                "egress",
            ]
        )
    )
    match kind:
        case "target":
            return TRAFFIC_TARGET.key(namespace, name), TrafficTarget(
                namespace=namespace,
                name=name,
                destination=draw(identities),
                sources=tuple(draw(st.lists(identities, min_size=1, max_size=3))),
                rules=tuple(draw(st.lists(rules, min_size=1, max_size=3))),
            )
        case "ingress":
            source = st.one_of(
                st.builds(SourceService, service=st.builds(ServiceName, namespaces, names)),
                st.builds(SourceRange, cidr=st.sampled_from(["10.0.0.0/8", "192.168.0.0/16"])),
            )
            backend_port = st.builds(IngressPort, service=names, target_port=ports)
            return INGRESS_BACKEND.key(namespace, name), IngressBackend(
                namespace=namespace,
                name=name,
                backends=tuple(sorted(draw(st.sets(backend_port, min_size=1, max_size=2)))),
                sources=tuple(draw(st.lists(source, min_size=1, max_size=2))),
            )
        case "egress":
            egress_port = st.builds(EgressPort, number=ports, protocol=st.sampled_from(get_args(EgressProtocol)))
            return EGRESS.key(namespace, name), Egress(
                namespace=namespace,
                name=name,
                sources=tuple(sorted(draw(st.sets(identities, min_size=1, max_size=2)))),
                ports=tuple(sorted(draw(st.sets(egress_port, min_size=1, max_size=2)))),
                hosts=("example.com",),
                ranges=draw(st.sampled_from([(), ("10.0.0.0/8",)])),
                route_groups=tuple(draw(st.lists(names, max_size=1))),
            )
        case "retry":
            service = st.builds(ServiceName, namespaces, names)
            return RETRY.key(namespace, name), Retry(
                namespace=namespace,
                name=name,
                source=draw(identities),
                destinations=tuple(draw(st.lists(service, min_size=1, max_size=2, unique=True))),
                terms=RetryTerms(on=("5xx",), retries=draw(st.integers(0, 1))),
            )
        case "setting":
            return UPSTREAM_TRAFFIC_SETTING.key(namespace, name), UpstreamTrafficSetting(
                namespace=namespace, name=name, service=draw(names), settings=TrafficSettings()
            )
        case "split":
            backend = st.builds(SplitBackend, service=names, weight=st.integers(0, 2))
            return TRAFFIC_SPLIT.key(namespace, name), TrafficSplit(
                namespace=namespace,
                name=name,
                service=draw(names),
                backends=tuple(draw(st.lists(backend, max_size=3))),
                matches=tuple(draw(st.lists(names, max_size=2))),
            )
        case "group":
            found = tuple(draw(st.lists(matches, max_size=2)))
            return HTTP_ROUTE_GROUP.key(namespace, name), HttpRouteGroup(namespace=namespace, name=name, matches=found)
        case "route":
            found_ports = tuple(draw(st.lists(ports, max_size=2)))
            return TCP_ROUTE.key(namespace, name), TcpRoute(namespace=namespace, name=name, ports=found_ports)
        case _:
            return MESH_CONFIG.key(), Mesh(permissive=draw(st.booleans()))


@st.composite
def endpoints(draw: st.DrawFn) -> tuple[str, Struct]:
    namespace, name = draw(namespaces), draw(names)
    kind = draw(st.sampled_from(["service", "service", "bare", "identity", "workload"]))
    match kind:
        case "service":
            platform = draw(st.sampled_from(["kube", "local"]))
            endpoint = st.builds(Endpoint, port=ports, address=st.just(Address("10.0.0.1", 80)), identity=identities)
            return SERVICE.key(platform, namespace, name), ServiceEndpoints(
                service=Service(
                    name=ServiceName(namespace, name),
                    ports=draw(service_ports),
                    accounts=tuple(sorted(draw(st.sets(identities, max_size=2)))),
                ),
                endpoints=tuple(sorted(draw(st.sets(endpoint, max_size=2)))),
            )
        case "bare":
            addresses = tuple(sorted(draw(st.sets(st.sampled_from(["10.0.0.8", "10.0.0.9"]), min_size=1))))
            platform = draw(st.sampled_from(["kube", "local"]))
            bare = BareService(name=ServiceName(namespace, name), addresses=addresses)
            return BARE.key(platform, namespace, name), bare
        case "identity":
            return IDENTITY.key(namespace, name), MeshIdentity(identity=Identity(namespace, name))
        case _:
            workload = Workload(proxy_id=name, identity=draw(identities), interception=Transparent())
            return WORKLOAD.key(name), workload


EVERY = [(namespace, name) for namespace in "ab" for name in "xyz"]
SOME_POLICIES: Bucket = {
    HTTP_ROUTE_GROUP.key(*each): HttpRouteGroup(
        namespace=each[0], name=each[1], matches=(HttpMatch(name="x", path_regex="/p"),)
    )
    for each in EVERY
}
SOME_ENDPOINTS: Bucket = {
    SERVICE.key("kube", *each): ServiceEndpoints(
        service=Service(name=ServiceName(*each), ports=(ServicePort(port=80),), accounts=(Identity(*each),))
    )
    for each in EVERY
} | {IDENTITY.key(*each): MeshIdentity(identity=Identity(*each)) for each in EVERY}
"""A mesh in order, which most changes have an effect on: an empty one would forgive too much."""

Step = tuple[str, bool, list[tuple[str, Struct]], list[str]]
"""Bucket, whether told as a full picture, documents put, keys deleted."""


@st.composite
def steps(draw: st.DrawFn) -> Step:
    bucket = draw(st.sampled_from(["meshspec", "endpoints"]))
    kind = policies() if bucket == "meshspec" else endpoints()
    put = draw(st.lists(kind, max_size=5))
    delete = [key for key, _ in draw(st.lists(kind, max_size=3))]
    return bucket, draw(st.booleans()), put, delete


def full(bucket: str, values: Mapping[str, Struct]) -> Update:
    documents = tuple(Document(bucket=bucket, key=key, value=values[key], revision=1) for key in values)
    return Update(bucket=bucket, full=True, documents=documents, revision=1)


def delta(bucket: str, put: Mapping[str, Struct], gone: list[str]) -> Update:
    documents = [Document(bucket=bucket, key=key, value=value, revision=1) for key, value in put.items()]
    documents += [
        Document(bucket=bucket, key=key, value=None, revision=1, deleted=True) for key in gone if key not in put
    ]
    return Update(bucket=bucket, full=False, documents=tuple(documents), revision=1)


@settings(max_examples=100, deadline=None)
@given(
    first=st.lists(policies(), max_size=12),
    then=st.lists(endpoints(), max_size=12),
    changes=st.lists(steps(), max_size=6),
)
def test_any_sequence_of_changes_ends_like_a_build_from_nothing(
    first: list[tuple[str, Struct]], then: list[tuple[str, Struct]], changes: list[Step]
) -> None:
    buckets: dict[str, Bucket] = {"meshspec": SOME_POLICIES | dict(first), "endpoints": SOME_ENDPOINTS | dict(then)}
    catalog = Catalog()
    seen = catalog.apply(*(full(bucket, values) for bucket, values in buckets.items()))
    published = dict(seen.puts)
    reported = dict(seen.problems)
    for bucket, whole, put, gone in changes:
        for key in gone:
            buckets[bucket].pop(key, None)
        buckets[bucket] |= dict(put)
        update = full(bucket, buckets[bucket]) if whole else delta(bucket, dict(put), gone)
        said = catalog.apply(update)
        published |= said.puts
        for key in said.deletes:
            del published[key]
        reported |= said.problems

        rebuilt = Catalog()
        rebuilt.apply(*(full(name, values) for name, values in buckets.items()))
        assert catalog.documents == rebuilt.documents == published
        assert catalog.problems == rebuilt.problems
        assert {ref: found for ref, found in reported.items() if found} == rebuilt.problems


@settings(max_examples=50, deadline=None)
@given(changes=st.lists(steps(), max_size=6))
def test_saying_the_same_again_changes_nothing(changes: list[Step]) -> None:
    buckets: dict[str, Bucket] = {"meshspec": {}, "endpoints": {}}
    for bucket, _, put, _ in changes:
        buckets[bucket] |= dict(put)
    catalog = Catalog()
    catalog.apply(*(full(name, values) for name, values in buckets.items()))
    for name, values in buckets.items():
        for update in (full(name, values), delta(name, values, [])):
            said = catalog.apply(update)
            assert (said.puts, said.deletes, said.problems) == ({}, (), {})
