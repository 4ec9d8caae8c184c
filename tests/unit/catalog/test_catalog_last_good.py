"""What stays of a last good form is in both forms; nothing that either does not have."""

from typing import Any

import pytest

from osm.contracts.catalog import HttpGrant, Ingress, MeshService, Policy, TcpGrant, TlsIngress, Upstream
from osm.contracts.egress import EgressGrant, HttpEgress, TcpEgress, TlsEgress
from osm.contracts.endpoints import Endpoint, Service
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpMatch
from services.catalog.last_good import narrowed_policy, narrowed_service

STORE, BUYER, THIEF = (Identity("shop", name) for name in ("store", "buyer", "thief"))
BUY, SELL = HttpMatch(name="buy"), HttpMatch(name="sell")
T, U = (ObjectRef("TrafficTarget", "shop", name) for name in ("t", "u"))
WEB, DB = ServiceName("shop", "web"), ServiceName("shop", "db")


def http(*sources: Identity, origin: ObjectRef = T, matches: tuple[HttpMatch, ...] = (BUY,)) -> Policy:
    return Policy(identity=STORE, http=(HttpGrant(origin=origin, sources=sources, matches=matches),))


def tcp(*ports: int) -> Policy:
    return Policy(identity=STORE, tcp=(TcpGrant(origin=T, sources=(BUYER,), ports=ports),))


def out(*ways: EgressGrant) -> Policy:
    return Policy(identity=STORE, egress=ways)


def by_host(*hosts: str, matches: tuple[HttpMatch, ...] = (BUY,)) -> HttpEgress:
    return HttpEgress(origin=T, port=80, hosts=hosts, matches=matches)


def by_name(*hosts: str, ranges: tuple[str, ...] = ()) -> TlsEgress:
    return TlsEgress(origin=T, port=443, hosts=hosts, ranges=ranges)


def by_range(*ranges: str, origin: ObjectRef = T) -> TcpEgress:
    return TcpEgress(origin=origin, port=5432, ranges=ranges)


@pytest.mark.parametrize(
    ("last", "now", "left"),
    [
        (out(by_host("a", "b")), out(by_host("b", "c")), out(by_host("b"))),
        (
            out(by_host("a", matches=(BUY, SELL))),
            out(by_host("a", matches=(SELL,))),
            out(by_host("a", matches=(SELL,))),
        ),
        (out(by_host("a")), out(by_host("a", matches=(SELL,))), out()),
        (out(by_host("a")), out(by_host("b")), out()),
        (out(by_name("a", "b")), out(by_name("b", ranges=("r",))), out(by_name("b", ranges=("r",)))),
        (out(by_name("a")), out(by_name("b")), out()),
        (out(by_range("r", "s")), out(by_range("s", "t")), out(by_range("s"))),
        (out(by_range()), out(by_range("r")), out(by_range("r"))),
        (out(by_range("r")), out(by_range("s")), out()),
        (out(by_range("r")), out(by_range("r", origin=U)), out()),
        (out(by_host("a")), out(), out()),
    ],
)
def test_a_way_out_is_left_with_what_both_forms_open(last: Policy, now: Policy, left: Policy) -> None:
    assert narrowed_policy(last, now) == left


@pytest.mark.parametrize(
    ("last", "now", "left"),
    [
        (http(BUYER, THIEF), http(BUYER), http(BUYER)),
        (http(BUYER), http(BUYER, THIEF), http(BUYER)),
        (http(BUYER, matches=(BUY, SELL)), http(BUYER, matches=(SELL,)), http(BUYER, matches=(SELL,))),
        (http(BUYER), http(THIEF), Policy(identity=STORE)),
        (http(BUYER), http(BUYER, origin=U), Policy(identity=STORE)),
        (http(BUYER), http(BUYER, matches=(SELL,)), Policy(identity=STORE)),
        (tcp(), tcp(80), tcp(80)),
        (tcp(80), tcp(), tcp(80)),
        (tcp(), tcp(), tcp()),
        (tcp(80, 81), tcp(81, 82), tcp(81)),
        (tcp(80), tcp(81), Policy(identity=STORE)),
    ],
)
def test_a_grant_is_left_with_what_both_forms_grant(last: Policy, now: Policy, left: Policy) -> None:
    assert narrowed_policy(last, now) == left


def test_a_service_is_reached_where_both_forms_reach_it() -> None:
    last = Policy(
        identity=STORE,
        upstreams=(Upstream(service=DB, accounts=(BUYER,)), Upstream(service=WEB, accounts=(BUYER, THIEF))),
    )
    now = Policy(identity=STORE, upstreams=(Upstream(service=WEB, accounts=(BUYER,)),))
    assert narrowed_policy(last, now) == now


def test_an_opening_and_an_endpoint_that_are_gone_do_not_stay() -> None:
    def form(ranges: tuple[str, ...], hosts: tuple[str, ...]) -> MeshService:
        opened = (Ingress(origin=T, target_port=80, ranges=ranges),) if ranges else ()
        there = tuple(Endpoint(port=80, address=Address(host, 80), identity=STORE) for host in hosts)
        return MeshService(service=Service(name=WEB, ports=()), ingress=opened, endpoints=there)

    last = form(("10.0.0.0/8", "11.0.0.0/8"), ("10.1.0.1", "10.1.0.2"))
    assert narrowed_service(last, form(("11.0.0.0/8", "12.0.0.0/8"), ("10.1.0.2", "10.1.0.3"))) == form(
        ("11.0.0.0/8",), ("10.1.0.2",)
    )
    assert narrowed_service(last, form((), ())) == form((), ())


def test_over_tls_who_may_call_is_who_may_in_both_forms() -> None:
    def form(*ranges: str, names: tuple[str, ...] = ("a", "b"), **terms: Any) -> MeshService:
        entry = TlsIngress(origin=T, target_port=80, ranges=ranges, principals=names, **terms)
        return MeshService(service=Service(name=WEB, ports=()), tls_ingress=(entry,))

    last, closed = form("10.0.0.0/8", "11.0.0.0/8"), MeshService(service=Service(name=WEB, ports=()))
    assert narrowed_service(last, form("11.0.0.0/8", names=("b", "c"))) == form("11.0.0.0/8", names=("b",))
    assert narrowed_service(last, form("12.0.0.0/8")) == closed
    assert narrowed_service(last, form("10.0.0.0/8", names=("c",))) == closed
    assert narrowed_service(last, form("10.0.0.0/8", hosts=("h",))) == closed
    assert narrowed_service(last, form("10.0.0.0/8", any_client=True)) == closed
    anyone = form("10.0.0.0/8", names=(), any_client=True)
    assert narrowed_service(anyone, last) == closed
    assert narrowed_service(anyone, anyone) == anyone
