"""Several processes of xds that share a port: they share the work, one that dies is replaced, and all end as one."""

import os
import signal
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.xds.worker_pages import read_page
from tests.envoy.xds_proxies import light, names
from tests.envoy.xds_world import serving, until, world, xds

pytestmark = [pytest.mark.envoy, pytest.mark.nats, pytest.mark.timeout(300)]


async def test_workers_share_the_proxies_and_one_that_dies_is_replaced(tmp_path):
    everyone = names(40)
    async with (
        world(tmp_path, everyone) as mesh,
        xds(mesh, "xds", WORKERS=2) as running,
        serving(mesh, "xds-0", "xds-1"),
        light(mesh, everyone) as proxies,
    ):
        await mesh.settled("xds-0", "xds-1", proxies=40)
        assert min(mesh.progress[replica].proxies for replica in ("xds-0", "xds-1")) > 0
        await mesh.move_endpoint()
        await mesh.settled("xds-0", "xds-1", proxies=40)
        await until(lambda: _in_sync(running, proxies))
        before = await running.workers()
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: _differ(running, before))
        await mesh.move_endpoint()
        await mesh.settled("xds-0", "xds-1", proxies=40)
        assert sum(proxies.moves.values()) > 0
        await until(lambda: _measured(running))
        assert await running.end() == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in before)


async def _measured(running):
    samples = await _scraped(running)
    return min(_by_worker(samples, "osm_xds_batch_seconds_count")) > 0


async def _in_sync(running, proxies):
    """Whether a scrape shows what a change did that all 40 proxies have acknowledged."""
    samples = await _scraped(running)
    pushed, acked = (
        _by_worker(samples, f"osm_xds_{what}_total", type="EDS") for what in ("pushes", "acknowledgements")
    )
    return (
        sum(_by_worker(samples, "osm_xds_proxies", state="synced")) == 40
        and min(_by_worker(samples, "osm_xds_convergence_seconds_count")) > 0
        and sum(acked) >= 40  # who came late was pushed the change alone
        and 0 <= sum(pushed) - sum(acked) <= sum(proxies.moves.values())  # who moved may not have answered
        and min(_by_worker(samples, "osm_xds_pushed_bytes_total", type="EDS")) > 0
        and sum(_by_worker(samples, "osm_xds_rejections_total", type="CDS")) == 0
        and min(_by_worker(samples, "osm_xds_certificate_not_after_seconds", kind="leaf")) > time.time()
        and _by_worker(samples, "osm_bus_connected") == [1, 1]
    )


async def _scraped(running):
    found = await read_page(running.http, "/metrics")
    text = "" if found is None else found.text  # no answer in time is none yet
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _by_worker(samples, name, **labels):
    found = {
        each.labels["worker"]: each.value
        for each in samples
        if each.name == name and labels.items() <= each.labels.items()
    }
    return [found.get(worker, 0) for worker in ("0", "1")]


async def _differ(running, before):
    return len(await running.workers()) == 2 and await running.workers() != before


async def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    async with world(tmp_path, ()) as mesh, xds(mesh, "xds", WORKERS=2) as running:
        workers = await running.workers()
        assert len(workers) == 2
        running.process.kill()
        await until(lambda: _gone(workers))


async def _gone(pids):
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)
