from pathlib import Path

import pytest

from bench import plan
from bench.classes import made
from bench.rounds import Rounds
from bench.world import World


@pytest.mark.timeout(300)
async def test_three_proxies_are_measured_from_their_connection_to_an_edit_without_meaning(proxies: Path) -> None:
    run = await plan.run(proxies, 3, Rounds(endpoints=2, policies=2))
    assert run.move_endpoint.rounds == 2
    assert run.move_endpoint.pushes_each == 3
    assert run.edit_policy.pushes_each >= 1
    assert 0 < run.move_endpoint.prepared_ms < run.move_endpoint.max_ms
    assert run.noop_bytes == 0
    assert run.first_config_mb > 0
    assert run.cpu_ratio > 0
    assert run.kb_per_proxy > 0


def test_every_identity_is_a_class_of_its_own_and_is_made() -> None:
    found = made(World(streams=4, services=40, identities=4))
    assert found.classes == 4
    assert found.first_ms > 0
    assert found.further_ms > 0
