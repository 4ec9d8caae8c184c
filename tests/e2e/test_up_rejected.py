"""What Envoy alone can judge: a mistake that only it finds is told in its words, and holds nothing up."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from osm.testing.manifests import documents, http, mesh_config, route_group, service, target, workload
from osm.testing.mesh import Command, MeshProcess, mesh_process
from tests.e2e.outside import PATIENCE_S, Outside, eventually, outside

WEB, API = "web-0.front", "api-0.shop"
URL = "http://api.shop:8080"

CIPHERS = mesh_config().replace("spec:\n", "spec:\n  sidecar: {cipherSuites: [NO-SUCH-CIPHER]}\n")
CURVES = mesh_config().replace("spec:\n", "spec:\n  sidecar: {ecdhCurves: [P-1000]}\n")
TOO_LARGE = "/b(?:[a-z]{400}){400}"
"""Each repetition is within RE2's bounds, both together are not."""


def policies(path: str, *, also: str = "/also") -> str:
    return documents(
        route_group(("shop", "paths"), a={"pathRegex": path}, b={"pathRegex": also}),
        target(("shop", "web"), http("paths"), to="api", sources=[("front", "web")]),
    )


@pytest.fixture(scope="module")
def mesh(home: Path) -> Iterator[MeshProcess]:
    folder = home / "manifests"
    folder.mkdir()
    (folder / "base.yaml").write_text(
        documents(
            workload(("shop", "api"), "8080"),
            service(("shop", "api"), "8080"),
            service(("shop", "twin"), "8080", app="api"),
            workload(("front", "web"), "8080"),
        )
    )
    (folder / "mesh.yaml").write_text(mesh_config())
    (folder / "policies.yaml").write_text(policies("/good"))
    arguments = ("up", "-f", str(folder), "--ca-folder", str(home / "ca"))
    with mesh_process(*arguments, name="rejected", home=home, folder=folder) as running:
        running.until(lambda: running.output().count("ready ") >= 2, "all workloads ready")
        yield running
    assert not running.leftovers()


async def serves(it: Outside, path: str = "/good") -> None:
    await eventually(lambda: it.status(WEB, URL + path), lambda status: status == 200, f"{path} is served")


async def all_synced(it: Outside) -> None:
    await it.board.until(lambda: it.board.in_service(2), "every proxy in sync", PATIENCE_S)


async def rejected_by(it: Outside, *proxies: str) -> None:
    await it.board.until(
        lambda: {each.proxy_id for each in it.board.proxies() if each.state == "rejected"} >= set(proxies),
        f"a rejection by {proxies}",
        PATIENCE_S,
    )


async def status_with(mesh: MeshProcess, *words: str) -> Command:
    """`osm status` once it says all this: what was rejected and of whose making it was are told one after the other."""
    return await eventually(
        lambda: asyncio.to_thread(mesh.osm, "status"),
        lambda told: all(each in " ".join(told.out.split()) for each in words),
        f"osm status with {words}",
    )


@pytest.mark.parametrize(("wrong", "words"), [(CIPHERS, "NO-SUCH-CIPHER"), (CURVES, "P-1000")])
async def test_settings_that_envoy_refuses_are_told_with_its_words_and_the_mesh_config(
    mesh: MeshProcess, wrong: str, words: str
) -> None:
    async with outside(mesh) as it:
        await all_synced(it)
        await serves(it)
        mesh.put("mesh.yaml", wrong)
        await rejected_by(it, API)
        told = await status_with(mesh, f"rejected by {API}", "MeshConfig osm-system/osm-mesh-config", words)
        assert told.status == 1
        assert await it.status(WEB, f"{URL}/good") == 200
        mesh.put("mesh.yaml", mesh_config())  # back to what all proxies hold: nothing is sent, all the same it is over
        await all_synced(it)
        await serves(it)
        await it.no_problem()
    assert (await asyncio.to_thread(mesh.osm, "status")).status == 0


async def test_an_expression_that_envoy_refuses_keeps_the_last_good_and_holds_no_other_change_up(
    mesh: MeshProcess,
) -> None:
    async with outside(mesh) as it:
        await all_synced(it)
        await serves(it)
        await serves(it, "/also")
        mesh.put("policies.yaml", policies("/good", also=TOO_LARGE))
        await rejected_by(it, API)
        told = await status_with(mesh, "shop/web", "invalid repetition size")
        assert told.status == 1
        assert await it.status(WEB, f"{URL}/good") == 200
        mesh.put("policies.yaml", policies("/better"))
        await all_synced(it)
        await serves(it, "/better")
        assert await it.status(WEB, f"{URL}/good") == 404
        mesh.put("policies.yaml", policies("/good"))
        await serves(it)


async def test_a_sidecar_that_starts_anew_gets_what_was_good(mesh: MeshProcess) -> None:
    """A rejection must not cost a restarted proxy its configuration."""
    async with outside(mesh) as it:
        await all_synced(it)
        mesh.put("policies.yaml", policies("/good", also=TOO_LARGE))
        await rejected_by(it, API)
        pid = it.board.processes()[API].envoy_pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await it.board.until(lambda: it.board.processes()[API].envoy_pid not in (pid, None), "a new Envoy", PATIENCE_S)
        await serves(it)
        mesh.put("policies.yaml", policies("/good"))
        await all_synced(it)
