"""Who is connected, by stream and by proxy."""

import pytest

from osm.contracts.names import Identity
from services.xds.admission import Proxy
from services.xds.member import Member
from services.xds.roster import Roster

STORE, BUYER = Identity("shop", "store"), Identity("shop", "buyer")


def member(proxy_id: str, identity: Identity = STORE) -> Member:
    return Member(Proxy(proxy_id, identity), connected_at_s=1.0)


def test_a_proxy_that_comes_back_before_its_old_stream_is_missed_has_two() -> None:
    roster, old, new = Roster(), member("store-0"), member("store-0")
    roster.add(1, old)
    roster.add(2, new)
    assert sorted(roster.streams_of("store-0")) == [1, 2]
    assert roster.newest("store-0") is new
    assert roster.remove(1) is old
    assert roster.newest("store-0") is new
    assert len(roster) == 1


def test_nothing_is_left_of_who_has_gone() -> None:
    roster = Roster()
    roster.add(1, member("store-0"))
    roster.remove(1)
    assert (len(roster), list(roster), roster.newest("store-0"), roster.identities()) == (0, [], None, set())
    assert not roster.streams_of("store-0")
    with pytest.raises(KeyError):
        roster.remove(1)


def test_streams_are_named_in_the_order_asked_for_and_those_that_ended_left_out() -> None:
    roster = Roster()
    roster.add(1, member("store-0"))
    roster.add(2, member("buyer-0", BUYER))
    assert roster.names([2, 7, 1]) == ("buyer-0", "store-0")
    assert roster.identities() == {STORE, BUYER}
