"""An agent that ends and one that comes after it: what runs goes on, and nobody notices."""

import asyncio
import os
import signal
import stat
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from osm.contracts.channels import LOCAL_WORKLOAD, PROXY_ADMIN
from osm.contracts.status import AdminQuery
from osm.envoy import process_record
from osm.envoy.cleanup import end_recorded
from services.local.addresses import SLOTS, app_host, sidecar_host, slot_of
from tests.unit.local.agent_world import MANIFESTS, Authority, platform

KEY = "workload.shop-0_town"
TWO = MANIFESTS.replace("selector:", "replicas: 2\n  selector:")


@asynccontextmanager
async def enduring(tmp_path, authority=None, manifests=MANIFESTS, **others):
    """A platform whose workloads go on without an agent; nothing of it is left after the test."""
    async with platform(tmp_path, authority, keep_running=True, **others) as here:
        (tmp_path / "manifests" / "shop.yaml").write_text(manifests)
        try:
            yield here
        finally:
            end_recorded(tmp_path / "run", 0.0)


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def home(tmp_path, id_="shop-0.town"):
    return tmp_path / "run" / "workloads" / id_


async def gone(*pids):
    async with asyncio.timeout(30):
        while any(map(is_alive, pids)):
            await asyncio.sleep(0.01)


def shown(here, key=KEY):
    """The workload's document as it lies on the bus."""
    return here.core.buckets["local"].bodies.get(key)


@asynccontextmanager
async def changes(here):
    """Every change of bucket `local` while the context is open."""
    seen = []

    async def follow():
        async for update in here.cli.watch("local", states=[LOCAL_WORKLOAD]):
            seen.extend(document for document in update.documents if not update.full)

    following = asyncio.create_task(follow())
    await asyncio.sleep(0)
    try:
        yield seen
    finally:
        following.cancel()


async def news(here):
    """Something that the agent does now, and so after all it had to do before."""
    (here.folder / "manifests" / "depot.yaml").write_text(MANIFESTS.replace("shop", "depot"))
    await here.ready("process.depot-0_town")


async def recorded(here, number=0):
    """Ready, and written down: a program without a port is ready before it is even executed."""
    line = await here.ready(f"process.shop-{number}_town")
    paths = [home(here.folder, f"shop-{number}.town") / f"{name}.process" for name in ("app-web", "envoy")]
    async with asyncio.timeout(30):
        while [each and each.pid for each in map(process_record.read, paths)] != [line.app_pid, line.envoy_pid]:
            await asyncio.sleep(0.01)
    return line


async def line(here, key="process.shop-0_town"):
    return (await here.until("status", lambda seen: key in seen))[key]


async def test_apps_and_envoys_go_on_without_the_agent_and_the_next_one_has_them(tmp_path):
    async with enduring(tmp_path) as here:
        async with here.agent():
            before = await recorded(here)
            document, certificate = shown(here), (home(tmp_path) / "certificate.json").read_bytes()
        assert is_alive(before.app_pid)
        assert is_alive(before.envoy_pid)
        assert shown(here) == document
        async with changes(here) as seen, here.agent():
            await news(here)
            assert await line(here) == before
            reply = await here.cli.ask(PROXY_ADMIN, AdminQuery(proxy_id="shop-0.town", query="certs"))
            assert reply.body == "asked for /certs"
        assert [each.key for each in seen if each.key == KEY] == []
        assert [subject.proxy_id for _, subject in here.authority.asked] == ["shop-0.town", "depot-0.town"]
        assert (home(tmp_path) / "certificate.json").read_bytes() == certificate


async def test_what_is_written_down_is_for_the_owner_alone(tmp_path):
    async with enduring(tmp_path) as here, here.agent():
        await recorded(here)
        for name in ("started.json", "app-web.process", "envoy.process", "certificate.json"):
            assert stat.S_IMODE((home(tmp_path) / name).stat().st_mode) == 0o600


async def test_a_workload_changed_meanwhile_is_replaced_one_replica_at_a_time(tmp_path):
    async with enduring(tmp_path, manifests=TWO) as here:
        async with here.agent():
            before = [await recorded(here, number) for number in range(2)]
        (tmp_path / "manifests" / "shop.yaml").write_text(TWO.replace('"600"', '"601"'))
        async with changes(here) as seen, here.agent():
            old = {each.app_pid for each in before}
            await here.until(
                "status",
                lambda lines: all(
                    (each := lines[f"process.shop-{number}_town"]).state == "ready" and each.app_pid not in old
                    for number in range(2)
                ),
            )
        ready, least = {KEY, "workload.shop-1_town"}, 2
        for document in seen:
            assert not document.deleted
            ready = ready | {document.key} if document.value.ready else ready - {document.key}
            least = min(least, len(ready))
        assert least == 1
        assert not any(map(is_alive, old))


async def test_a_workload_taken_out_of_the_folder_meanwhile_ends(tmp_path):
    async with enduring(tmp_path) as here:
        async with here.agent():
            before = await recorded(here)
        (tmp_path / "manifests" / "shop.yaml").unlink()
        async with here.agent():
            await here.until("local", lambda seen: seen == {})
            await gone(before.app_pid, before.envoy_pid)
            async with asyncio.timeout(30):
                while (home(tmp_path) / "started.json").exists():
                    await asyncio.sleep(0.01)
            assert not (home(tmp_path) / "certificate.json").exists()


@pytest.mark.parametrize("text", ["kind: [", MANIFESTS.replace("apiVersion:", "x: 1\napiVersion:")])
async def test_a_folder_that_cannot_be_read_takes_nothing_away(tmp_path, text):
    async with enduring(tmp_path) as here:
        async with here.agent():
            before = await recorded(here)
        (tmp_path / "manifests" / "shop.yaml").write_text(text)
        async with changes(here) as seen, here.agent():
            await news(here)
        assert [each.key for each in seen if each.key == KEY] == []
        assert is_alive(before.app_pid)


async def test_what_died_meanwhile_is_started_again_and_keeps_its_place(tmp_path):
    async with enduring(tmp_path) as here:
        async with here.agent():
            before = await recorded(here)
        os.kill(before.app_pid, signal.SIGKILL)
        await gone(before.app_pid)
        async with changes(here) as seen, here.agent():
            await here.until("status", lambda lines: lines["process.shop-0_town"].app_pid != before.app_pid)
            after = await here.ready()
        assert after.envoy_pid == before.envoy_pid
        assert not any(each.deleted for each in seen)
        assert after.http_proxy == before.http_proxy


async def test_a_dead_workload_is_not_called_ready_and_not_taken_away(tmp_path):
    async with enduring(tmp_path) as here:
        async with here.agent():
            before = await recorded(here)
        end_recorded(tmp_path / "run", 0.0)
        async with changes(here) as seen, here.agent():
            await here.until("status", lambda lines: lines["process.shop-0_town"].app_pid != before.app_pid)
            await here.ready()
        states = [each.value.ready for each in seen if each.key == KEY]
        assert states == [False, True]


async def test_an_envoy_that_was_started_for_another_xds_is_replaced(tmp_path):
    async with enduring(tmp_path) as here:
        async with here.agent():
            before = await recorded(here)
        async with here.agent(xds="127.0.0.1:15129"):
            await here.until("status", lambda lines: lines["process.shop-0_town"].envoy_pid != before.envoy_pid)
            await here.ready()
            assert "15129" in (home(tmp_path) / "bootstrap.json").read_text()
            await gone(before.envoy_pid)


async def test_what_cannot_be_gone_on_with_ends(tmp_path):
    async with enduring(tmp_path) as here:
        async with here.agent():
            before = await recorded(here)
        (home(tmp_path) / "started.json").write_text("{}")
        async with here.agent():
            await gone(before.app_pid, before.envoy_pid)
            await here.until("status", lambda lines: lines["process.shop-0_town"].app_pid != before.app_pid)
            await here.ready()


async def test_an_agent_that_keeps_nothing_ends_what_was_left(tmp_path):
    async with enduring(tmp_path) as here:
        async with here.agent():
            before = await recorded(here)
        async with here.agent(keep_running=False):
            await gone(before.app_pid, before.envoy_pid)
            await here.until("status", lambda lines: lines["process.shop-0_town"].app_pid != before.app_pid)
            after = await here.ready()
        assert not is_alive(after.app_pid)
        assert not is_alive(after.envoy_pid)


async def test_a_certificate_that_was_taken_over_is_renewed_in_time(tmp_path):
    authority = Authority()
    authority.lifetime_s = 4
    async with enduring(tmp_path, authority) as here:
        async with here.agent():
            before = await recorded(here)
        async with here.agent():
            asked, first = len(here.authority.asked), (home(tmp_path) / "certificate.json").read_bytes()
            async with asyncio.timeout(30):
                while (home(tmp_path) / "certificate.json").read_bytes() == first:
                    await asyncio.sleep(0.02)
            assert len(here.authority.asked) > asked
            assert (await here.ready()).envoy_pid == before.envoy_pid


def test_a_place_is_found_by_its_sidecars_address():
    for slot in (0, 1, 127, 128, SLOTS - 1):
        assert slot_of(77, sidecar_host(77, slot)) == slot
        assert slot_of(77, app_host(77, slot)) is None
        assert slot_of(78, sidecar_host(77, slot)) is None
    assert slot_of(77, "127.77.0.1") is None
    assert slot_of(77, "localhost") is None
