"""A minute of what `make soak` does in an hour: proxies come, go and stall, endpoints flap, leaves are renewed."""

import pytest

from bench.mesh import Usage
from bench.soak import faults, growth, soak


def notes(*rss_mb: float, fds: tuple[int, ...] = ()) -> tuple[Usage, ...]:
    return tuple(
        Usage(at_s=60.0 * at, streams=0, pushes=0, rss_bytes=int(mb * 1e6), fds=fds[at] if fds else 40, blocks=1_000)
        for at, mb in enumerate(rss_mb)
    )


def test_what_is_reached_once_and_kept_is_flat() -> None:
    assert faults(notes(80.0, 95.0, 100.0, 101.0, 99.0, 100.0, 101.0, 100.0, 100.0)) == ()


def test_what_rises_on_and_on_is_not() -> None:
    rising = notes(*(100.0 + 2.0 * at for at in range(9)))
    assert growth(rising, "rss_bytes") == pytest.approx(10e6)
    assert faults(rising) == ("MB of memory: grown by 10, allowed is 5.4",)


def test_descriptors_may_not_add_up() -> None:
    flat = [100.0] * 9
    assert faults(notes(*flat, fds=(40, 44, 41, 43, 44, 42, 41, 44, 43))) == ()
    assert faults(notes(*flat, fds=tuple(range(40, 49)))) == ("descriptors: 3 more, allowed are 2",)


@pytest.mark.timeout(300)
async def test_nothing_stays_of_proxies_that_came_and_went() -> None:
    soaked = await soak(minutes=0.6, streams=24, seed="minute", notes=9)
    assert soaked.visits.visits > 100
    assert soaked.visits.stalls > 10
    assert soaked.notes[-1].pushes > soaked.notes[0].pushes
    assert faults(soaked.notes) == ()
