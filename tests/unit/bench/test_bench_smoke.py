from pathlib import Path

import pytest

from bench import plan
from bench.rounds import Rounds


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
