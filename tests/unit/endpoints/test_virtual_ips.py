"""Which address each Service has where no cluster gives one."""

import pytest

from osm.manifests.virtual_ips import NETWORK, TooManyServices, virtual_ips

SOME = [("shop", f"service-{number}") for number in range(500)]


def test_every_service_has_an_address_of_its_own_in_the_network() -> None:
    given = virtual_ips(SOME)
    assert len(set(given.values())) == len(SOME)
    hosts = {str(host) for host in NETWORK.hosts()}
    assert set(given.values()) <= hosts


def test_the_order_in_which_services_are_read_does_not_matter() -> None:
    assert virtual_ips(SOME) == virtual_ips(reversed(SOME)) == virtual_ips([*SOME, *SOME])


def test_a_new_service_moves_hardly_any_other() -> None:
    before = virtual_ips(SOME)
    after = virtual_ips([*SOME, ("another", "service")])
    moved = [key for key in SOME if before[key] != after[key]]
    assert len(moved) <= 1


def test_more_services_than_addresses_are_refused() -> None:
    with pytest.raises(TooManyServices, match="65535 Services, and 65534 addresses"):
        virtual_ips(("shop", str(number)) for number in range(65535))
