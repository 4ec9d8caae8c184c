"""A pod's bootstrap as values: what is open to whom, and where each probe is answered."""

import re
from itertools import product
from pathlib import PurePosixPath

import pytest

from osm.contracts.names import Address, Identity
from osm.envoy import ports
from osm.envoy.bootstrap import Sidecar
from osm.envoy.pod import READ_ONLY, pod_bootstrap
from osm.envoy.probes import KINDS, GrpcCheck, HttpCheck, Probe, TcpCheck, path_of

SIDECAR = Sidecar(
    proxy_id="u.shop",
    identity=Identity("shop", "store"),
    trust_domain="cluster.local",
    xds=Address("osm-xds.osm-system.svc.cluster.local", 15128),
    certificate_sds=PurePosixPath("/etc/envoy/certificate.json"),
    roots_sds=PurePosixPath("/etc/envoy/roots.json"),
    watched=PurePosixPath("/etc/envoy"),
)
CHECKS = (HttpCheck(port=8080), TcpCheck(port=8081), GrpcCheck(port=8082), HttpCheck(port=8443, tls=True))
PROBES = tuple(
    Probe(container=f"c{number}", kind=kind, check=check) for kind, (number, check) in product(KINDS, enumerate(CHECKS))
)


def test_what_is_open_to_others_is_what_the_redirect_rules_leave_alone() -> None:
    made = pod_bootstrap(SIDECAR, checks=PROBES, metrics=True)
    at = [listener.address.socket_address for listener in made.static_resources.listeners]
    assert {each.port_value for each in at if each.address == "0.0.0.0"} == set(ports.UNREDIRECTED)
    assert {each.address for each in at} == {"0.0.0.0"}


def test_the_admin_interface_is_on_loopback_and_only_reads() -> None:
    admin = pod_bootstrap(SIDECAR).admin
    assert admin.address.socket_address.address == "127.0.0.1"
    assert admin.address.socket_address.port_value == ports.ADMIN
    (allowed,) = admin.allow_paths
    pages = re.compile(allowed.safe_regex.regex)
    assert all(pages.fullmatch(f"/{page}") and pages.fullmatch(f"/{page}?filter=x") for page in READ_ONLY)
    for page in (
        "/",
        "/quitquitquit",
        "/logging",
        "/drain_listeners?graceful",
        "/stats/..",
        "/statsx",
        "/healthcheck/fail",
    ):
        assert not pages.fullmatch(page), page


def test_what_nobody_asked_for_is_not_open() -> None:
    made = pod_bootstrap(SIDECAR)
    found = [listener.address.socket_address.port_value for listener in made.static_resources.listeners]
    assert found == [ports.READY]


def test_each_probe_has_a_path_and_a_cluster_of_its_own() -> None:
    made = pod_bootstrap(SIDECAR, checks=PROBES)
    clusters = [
        cluster.name
        for cluster in made.static_resources.clusters
        if cluster.name.startswith("osm-") and "|" in cluster.name
    ]
    assert len(set(clusters)) == len(clusters) == len({path_of(probe) for probe in PROBES}) == len(PROBES)


@pytest.mark.parametrize(
    ("check", "path"),
    [
        (HttpCheck(port=1), "/osm-liveness-probe/web"),
        (HttpCheck(port=1, path="/a/b?c=d&e?f"), "/osm-liveness-probe/web?c=d&e?f"),
        (HttpCheck(port=1, path="/a?"), "/osm-liveness-probe/web?"),
        (TcpCheck(port=1), "/osm-liveness-probe/web"),
    ],
)
def test_a_probes_path_names_its_container_and_keeps_its_query(check: HttpCheck | TcpCheck, path: str) -> None:
    assert path_of(Probe(container="web", kind="liveness", check=check)) == path


def test_the_app_is_asked_twice_between_two_probes_and_at_most_every_second() -> None:
    probes = [Probe(container=f"c{s}", kind="liveness", check=TcpCheck(port=1), period_s=s) for s in (1, 2, 5, 10)]
    made = pod_bootstrap(SIDECAR, checks=tuple(probes))
    checked = [cluster.health_checks[0] for cluster in made.static_resources.clusters if cluster.health_checks]
    assert [check.interval.seconds for check in checked] == [1, 1, 2, 5]
    assert [check.no_traffic_interval.seconds for check in checked] == [1, 1, 2, 5]
