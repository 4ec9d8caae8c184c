"""The isolated network as text: addresses, and what `ip` and `iptables-restore` are told."""

import pytest

from osm.envoy.redirect import rules
from osm.isolation import network
from osm.manifests import virtual_ips


def test_a_place_and_its_address_say_the_same() -> None:
    assert network.host(0) == "10.77.0.2"
    assert [network.slot_of(network.host(slot)) for slot in (0, 253, 254, 32765)] == [0, 253, 254, 32765]


@pytest.mark.parametrize("address", ["10.77.0.1", "10.77.0.0", "10.78.0.5", "127.66.0.2", "", "nonsense"])
def test_no_other_address_is_of_a_workload(address: str) -> None:
    assert network.slot_of(address) is None


def test_workloads_and_services_share_no_address() -> None:
    assert not network.WORKLOADS.overlaps(virtual_ips.NETWORK)


def test_a_workloads_end_and_its_peer_are_named_so_that_the_kernel_takes_them() -> None:
    longest = network.own(32765, 1).split("peer name ")[1].split()[0]
    assert len(longest) <= 15  # IFNAMSIZ of linux/if.h, less its closing zero


def test_no_interface_has_an_ipv6_address_since_that_is_not_redirected() -> None:
    assert "link set eth0 addrgenmode none" in network.own(7, 1)


def test_the_sidecar_is_known_by_its_mark_and_by_nothing_else() -> None:
    text = rules(network.REDIRECT)
    assert f"-m mark --mark {network.MARK:#x}" in text
    assert "owner" not in text
