"""The example in the documentation of `osm.testing.xds_server` configures a real Envoy, as it is written there."""

import asyncio
import textwrap

import aiohttp
import pytest

from osm.ads.types import CLUSTER, LISTENER
from osm.envoy import binary
from osm.testing import xds_server
from osm.testing.free_ports import free_port
from tests.envoy.test_ads_envoy import upstream

pytestmark = pytest.mark.envoy

PATIENCE_S = 30


def example():
    """The indented block of the module's documentation."""
    lines = xds_server.__doc__.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("    "))
    last = max(number for number, line in enumerate(lines) if line.startswith("    "))
    return textwrap.dedent("\n".join(lines[first : last + 1]))


async def get(port):
    """What is answered there; its listener may not accept yet in the moment of its acknowledgement."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"http://127.0.0.1:{port}/") as response:
                    return await response.text()
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


@pytest.fixture
async def started(monkeypatch):
    """The processes that were started; none of them outlives its test."""
    processes, start = [], asyncio.create_subprocess_exec

    async def note(*command, **options):
        processes.append(await start(*command, **options))
        return processes[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", note)
    yield processes
    for process in processes:
        process.kill()
        await process.wait()


async def test_the_documented_example_configures_a_real_envoy_in_ten_lines(tmp_path, monkeypatch, started):
    imports, lines = example().split("\n\n")
    assert len(lines.splitlines()) == 10
    monkeypatch.chdir(tmp_path)
    (tmp_path / "envoy").symlink_to(binary.find())
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    port = free_port()

    async def check(xds):
        assert await get(port) == "hello"
        assert not xds.rejections
        assert {kind for _, kind in xds.acks} == {CLUSTER, LISTENER}

    async with upstream("hello") as app:
        body = lines.replace("10000", str(port)).replace("8080", str(app)) + "\n    await check(xds)\n"
        names = {"check": check}
        exec(f"{imports}\nasync def run():\n{textwrap.indent(body, '    ')}", names)  # what is documented is tested
        async with asyncio.timeout(PATIENCE_S):
            await names["run"]()
    assert len(started) == 1
