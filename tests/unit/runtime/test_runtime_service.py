import asyncio
from contextlib import suppress

import pytest
import structlog

from osm.bus import BusError, LeadershipLost
from osm.bus.memory import MemoryCore
from osm.contracts.channels import SERVICE_STATUS
from osm.contracts.codec import decode
from osm.contracts.status import ServiceStatus
from osm.runtime import service
from osm.runtime.health import Health, replica_name
from osm.runtime.service import ServiceFailed, run_service

KEY = SERVICE_STATUS.key("certmgr", "r-1")


def health():
    return Health("certmgr", "r-1", "2.0", 100.0)


async def test_a_service_reports_every_change_of_its_state_and_takes_the_line_away(monkeypatch):
    monkeypatch.setattr(service, "REFRESH_S", 3600.0)
    core = MemoryCore()
    starting, active = asyncio.Event(), asyncio.Event()

    async def run(bus, settings, health):
        health.starting("the full picture of bucket endpoints")
        await starting.wait()
        health.active()
        active.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(run_service("certmgr", run, core.bus("certmgr"), None, health()))
    bodies = core.buckets["status"].bodies
    while KEY not in bodies or b"waiting_for" not in bodies[KEY]:
        await asyncio.sleep(0)
    starting.set()
    await active.wait()
    while (line := decode(ServiceStatus, bodies[KEY])).state != "active":
        await asyncio.sleep(0)
    assert line == ServiceStatus(service="certmgr", replica="r-1", version="2.0", started_at_s=100.0, state="active")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert KEY not in bodies


async def test_every_change_of_state_is_a_log_line():
    async def run(bus, settings, health):
        health.starting("the root")
        health.active()

    with pytest.raises(ServiceFailed), structlog.testing.capture_logs() as lines:
        await run_service("certmgr", run, MemoryCore().bus("certmgr"), None, health())
    assert [(line["event"], line.get("state")) for line in lines[:3]] == [
        ("service starts", None),
        ("service state changed", "starting"),
        ("service state changed", "active"),
    ]


async def test_one_thing_less_to_wait_for_is_no_log_line_and_another_thing_is():
    async def run(bus, settings, health):
        health.starting("pods", "services")
        health.starting("services")
        health.starting("its own certificate")
        health.standby("the right to write")

    with pytest.raises(ServiceFailed), structlog.testing.capture_logs() as lines:
        await run_service("certmgr", run, MemoryCore().bus("certmgr"), None, health())
    assert [line["waiting_for"] for line in lines if line["event"] == "service state changed"] == [
        ("pods", "services"),
        ("its own certificate",),
        ("the right to write",),
    ]


async def test_a_line_that_does_not_change_is_refreshed(monkeypatch):
    monkeypatch.setattr(service, "REFRESH_S", 0.01)
    puts = []
    enough = asyncio.Event()

    class Lines:
        async def put(self, key, value):
            puts.append((key, value))
            if len(puts) == 3:
                enough.set()

        async def delete(self, key):
            puts.append((key, None))

    async def run(bus, settings, health):
        await asyncio.Event().wait()

    bus = MemoryCore().bus("certmgr")
    bus.status = Lines
    task = asyncio.create_task(run_service("certmgr", run, bus, None, health()))
    await enough.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(puts[:-1]) == {(KEY, health().status)}
    assert puts[-1] == (KEY, None)


async def test_a_service_that_fails_is_told_by_name_and_first_reason():
    async def part():
        raise LookupError("no root")

    async def run(bus, settings, health):
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(part())

    with pytest.raises(ServiceFailed) as caught, structlog.testing.capture_logs():
        await run_service("certmgr", run, MemoryCore().bus("certmgr"), None, health())
    assert str(caught.value) == "certmgr: LookupError: no root"
    assert isinstance(caught.value.__cause__, LookupError)


async def test_the_word_of_the_bus_is_said_as_it_is_and_without_a_traceback():
    why = LeadershipLost("bucket certmgr: certmgr is no longer its writer, another process has taken it over")

    async def run(bus, settings, health):
        raise why

    with pytest.raises(ServiceFailed) as caught, structlog.testing.capture_logs() as lines:
        await run_service("certmgr", run, MemoryCore().bus("certmgr"), None, health())
    assert str(caught.value) == f"certmgr: {why}"
    assert caught.value.__cause__ is why
    assert lines[-1] == {"event": "service failed", "log_level": "error", "why": str(why)}


async def test_a_service_that_returns_has_failed():
    async def run(bus, settings, health):
        return

    with pytest.raises(ServiceFailed, match="certmgr: returned"), structlog.testing.capture_logs():
        await run_service("certmgr", run, MemoryCore().bus("certmgr"), None, health())


async def test_cancelling_a_service_is_no_failure():
    async def run(bus, settings, health):
        await asyncio.Event().wait()

    task = asyncio.create_task(run_service("certmgr", run, MemoryCore().bus("certmgr"), None, health()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_bus_that_takes_no_status_does_not_end_the_service():
    core = MemoryCore()
    bus = core.bus("certmgr")
    tried = asyncio.Event()

    class Away:
        async def put(self, key, value):
            tried.set()
            raise BusError("not connected")

        async def delete(self, key):
            raise BusError("not connected")

    bus.status = Away

    async def run(bus, settings, health):
        await asyncio.Event().wait()

    with structlog.testing.capture_logs():
        task = asyncio.create_task(run_service("certmgr", run, bus, None, health()))
        await tried.wait()
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_log_lines_of_a_service_carry_its_name():
    async def run(bus, settings, health):
        seen.append(structlog.contextvars.get_contextvars())
        await asyncio.to_thread(lambda: seen.append(structlog.contextvars.get_contextvars()))

    seen = []
    with pytest.raises(ServiceFailed), structlog.testing.capture_logs():
        await run_service("certmgr", run, MemoryCore().bus("certmgr"), None, health())
    assert seen == [{"service": "certmgr", "replica": "r-1"}] * 2


def test_a_state_that_stays_is_not_told_again():
    told = []
    one = health()
    one.on_change(told.append)
    one.starting("a")
    one.starting("a")
    one.active()
    assert [status.state for status in told] == ["starting", "active"]
    assert one.ready


@pytest.mark.parametrize("given", ["", "osm-xds-7d9f-abc", "My_Laptop.local", "__"])
def test_the_replica_name_fits_a_key(given):
    name = replica_name(given)
    assert SERVICE_STATUS.parse(SERVICE_STATUS.key("certmgr", name)) == ("certmgr", name)
