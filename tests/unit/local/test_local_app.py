"""The whole agent: what a folder becomes, what it says, how it mends."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from osm.bus import BusError
from osm.bus.memory import MemoryCore
from osm.contracts.channels import MESH_CONFIG, PROXY_ADMIN
from osm.contracts.policy import Mesh as MeshConfig
from osm.contracts.status import AdminQuery
from osm.envoy.binary import NoEnvoy
from osm.runtime.health import Health
from services.local.app import BadAddress, run
from tests.unit.local.agent_world import MANIFESTS, Authority, mesh, settings


async def test_a_folder_becomes_running_workloads(tmp_path):
    async with mesh(tmp_path) as here:
        line = await here.ready()
        assert line.http_proxy.startswith("127.202.")
        assert line.http_proxy.endswith(":15001")
        local = await here.until("local", lambda seen: seen["workload.shop-0_town"].ready)
        assert str(local["workload.shop-0_town"].identity) == "town/default"
        ((caller, subject),) = here.authority.asked
        assert (caller, subject.proxy_id) == ("local", "shop-0.town")


async def test_no_certificate_is_asked_for_before_the_account_is_in_the_mesh(tmp_path):
    async with mesh(tmp_path, meshed=False) as here:
        key = "process.shop-0_town"
        seen = await here.until("status", lambda seen: key in seen)
        assert seen[key].why == "waiting for its account to be in the mesh"
        assert here.authority.asked == []


async def test_a_workload_that_is_taken_out_of_the_folder_goes(tmp_path):
    async with mesh(tmp_path) as here:
        await here.ready()
        (tmp_path / "manifests" / "shop.yaml").unlink()
        await here.until("local", lambda seen: seen == {})
        await here.until("status", lambda seen: not any(key.startswith(("process", "object")) for key in seen))
        assert not (tmp_path / "run" / "workloads" / "shop-0.town" / "certificate.json").exists()


async def test_a_users_mistake_is_said_of_the_object_and_the_rest_runs(tmp_path):
    async with mesh(tmp_path) as here:
        bad = MANIFESTS.replace("name: shop,", "name: bad,").replace("sleep", "no-such-program")
        (tmp_path / "manifests" / "bad.yaml").write_text(bad)
        key = "object.local.Deployment.town.bad"
        seen = await here.until("status", lambda seen: key in seen and seen[key].problems)
        (problem,) = seen[key].problems
        assert problem.field == "spec.template.spec.containers[0].command[0]"
        assert problem.line == 11
        await here.ready()


async def test_the_envoys_are_asked_on_behalf_of_the_cli(tmp_path):
    async with mesh(tmp_path) as here:
        await here.ready()
        reply = await here.cli.ask(PROXY_ADMIN, AdminQuery(proxy_id="shop-0.town", query="certs"))
        assert reply.body == "asked for /certs"
        none = await here.cli.ask(PROXY_ADMIN, AdminQuery(proxy_id="depot-0.town", query="certs"))
        assert none.why == "no proxy depot-0.town runs here; running are shop-0.town"


async def test_a_certificate_is_renewed_before_it_ends_without_a_restart(tmp_path):
    authority = Authority()
    authority.lifetime_s = 2
    async with mesh(tmp_path, authority) as here:
        before = await here.ready()
        certificate = tmp_path / "run" / "workloads" / "shop-0.town" / "certificate.json"
        first = certificate.read_text()
        async with asyncio.timeout(30):
            while certificate.read_text() == first:
                await asyncio.sleep(0.02)
        assert (await here.ready()) == before


async def test_an_envoy_that_dies_is_started_again(tmp_path):
    async with mesh(tmp_path) as here:
        before = await here.ready()
        os.kill(before.envoy_pid, signal.SIGKILL)
        await here.until("local", lambda seen: not seen["workload.shop-0_town"].ready)
        after = await here.ready()
        assert after.app_pid == before.app_pid
        assert after.envoy_pid != before.envoy_pid


async def test_an_agent_without_an_envoy_says_how_to_get_one(tmp_path):
    given = settings(tmp_path, envoy="/no/such/envoy")
    with pytest.raises(NoEnvoy, match="no program at /no/such/envoy"):
        await run(MemoryCore().bus("local"), given, Health("local", "one", "test", 0.0))


async def test_an_address_of_xds_that_is_none_is_named(tmp_path):
    with pytest.raises(BadAddress, match="expected host:port"):
        await run(MemoryCore().bus("local"), settings(tmp_path, xds="here"), Health("local", "one", "test", 0.0))


async def test_only_the_cli_may_ask(tmp_path):
    async with mesh(tmp_path) as here:
        with pytest.raises(BusError):
            await here.core.bus("catalog").ask(PROXY_ADMIN, AdminQuery(proxy_id="shop-0.town", query="certs"))


def log_level(pid):
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return words[words.index("--log-level") + 1]


async def test_sidecars_log_errors_unless_the_mesh_config_says_otherwise(tmp_path):
    async with mesh(tmp_path) as here:
        before = await here.ready()
        assert log_level(before.envoy_pid) == "error"
        await here.meshspec.publish({MESH_CONFIG.key(): MeshConfig(sidecar_log_level="debug")})
        os.kill(before.envoy_pid, signal.SIGKILL)
        await here.until("local", lambda seen: not seen["workload.shop-0_town"].ready)
        after = await here.ready()
        assert log_level(after.envoy_pid) == "debug"
        await here.meshspec.publish({})
        os.kill(after.envoy_pid, signal.SIGKILL)
        await here.until("local", lambda seen: not seen["workload.shop-0_town"].ready)
        assert log_level((await here.ready()).envoy_pid) == "error"
