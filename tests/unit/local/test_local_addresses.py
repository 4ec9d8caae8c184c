import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from services.local.addresses import SLOTS, app_host, sidecar_host, slots

IDS = st.sets(st.from_regex(r"[a-z]{1,4}-[0-9]\.[a-z]{1,3}", fullmatch=True), max_size=40)


@given(IDS, IDS)
def test_places_in_use_stay_and_no_two_are_equal(first, second):
    before = slots(first, {})
    after = slots(first | second, before)
    assert before.items() <= after.items()
    assert len(set(after.values())) == len(after)


@given(IDS)
def test_a_restarted_agent_gives_the_same_places(ids):
    assert slots(ids, {}) == slots(sorted(ids, reverse=True), {})


def test_every_place_is_inside_the_block_and_leaves_the_first_address_free():
    block = ipaddress.ip_network("127.77.0.0/16")
    for slot in (0, 1, 127, 128, SLOTS - 1):
        hosts = [ipaddress.ip_address(host(77, slot)) for host in (app_host, sidecar_host)]
        assert all(host in block for host in hosts)
        assert int(hosts[1]) == int(hosts[0]) + 1
    assert app_host(77, 0) == "127.77.0.2"
    assert sidecar_host(77, SLOTS - 1) != str(block.broadcast_address)
