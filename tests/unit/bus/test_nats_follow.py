import asyncio
from types import SimpleNamespace

import pytest

from osm.bus.nats_follow import HEARTBEAT_S, SILENCE_S, Follower
from osm.bus.nats_keys import Keys


@pytest.fixture
async def clock(monkeypatch):
    """What the loop says the time is."""
    at = SimpleNamespace(now_s=1000.0)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: at.now_s)
    return at


def follower():
    link = SimpleNamespace(name="xds", keys=Keys(), generation=1, client=SimpleNamespace(new_inbox=lambda: "_INBOX.a"))
    return Follower(link, "catalog", lambda _: None, asyncio.Event())


async def test_a_consumer_that_says_nothing_while_we_look_is_lost(clock):
    following = follower()
    for _ in range(4 * int(SILENCE_S / HEARTBEAT_S)):
        clock.now_s += HEARTBEAT_S / 2
        following.check()
    assert following.lost == "silent for 3 s"


async def test_time_in_which_we_did_not_look_is_no_silence(clock):
    following = follower()
    clock.now_s += 10 * SILENCE_S
    assert following.check()


async def test_one_that_is_looked_at_seldom_is_found_lost_in_the_end(clock):
    following = follower()
    for _ in range(2 * int(SILENCE_S / HEARTBEAT_S)):
        clock.now_s += 5 * HEARTBEAT_S
        following.check()
    assert following.lost
