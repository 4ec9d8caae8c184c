import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm.manifests.explicit_ports import FIRST, LAST, TooManyPorts, explicit_ports, variable

PORTS = [("bookstore", f"service-{number}", 80) for number in range(500)]


def test_numbers_are_in_the_range_and_unique():
    given_ports = explicit_ports(PORTS)
    assert len(set(given_ports.values())) == len(PORTS)
    assert all(FIRST <= number <= LAST for number in given_ports.values())


@given(st.permutations(PORTS[:40]))
def test_the_order_of_services_does_not_matter(shuffled):
    assert explicit_ports(shuffled) == explicit_ports(PORTS[:40])


def test_a_new_service_leaves_nearly_all_others_where_they_were():
    before = explicit_ports(PORTS)
    after = explicit_ports([*PORTS, ("a", "newcomer", 80)])
    assert sum(after[port] != number for port, number in before.items()) <= 2


def test_more_ports_than_numbers_are_refused():
    with pytest.raises(TooManyPorts, match="12001 service ports, and 12000 numbers"):
        explicit_ports(("ns", "svc", port) for port in range(1, 12002))


def test_the_variable_is_named_after_namespace_service_and_port():
    assert variable(("book-shop", "store-v1", 14001)) == "OSM_UPSTREAM_BOOK_SHOP_STORE_V1_14001"
