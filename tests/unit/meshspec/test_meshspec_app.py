"""meshspec as a service: a real folder, a real bus in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from osm.bus.memory import MemoryCore
from osm.contracts.channels import MESH_CONFIG
from osm.contracts.codec import encode
from osm.contracts.policy import Mesh, TrafficSplit
from osm.contracts.status import FileStatus, ObjectStatus, Progress
from osm.runtime.health import Health
from osm.testing.picture import values_when
from services.meshspec.app import run
from services.meshspec.settings import Settings
from tests.served import served

SPLIT = """
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: canary, namespace: shop}
spec:
  service: web
  backends:
  - {service: web-v1, weight: 1}
"""
SPLIT_KEY = "traffic-split.shop.canary"
SPLIT_LINE = "object.meshspec.TrafficSplit.shop.canary"


@asynccontextmanager
async def serving(core: MemoryCore, folder: Path) -> AsyncIterator[Health]:
    health = Health("meshspec", "one", "test", 0.0)
    async with served(run, core.bus("meshspec"), Settings(folder=str(folder)), health):
        yield health


async def until(
    core: MemoryCore, bucket: str, condition: Callable[[Mapping[str, Any]], Any], who: str = "catalog"
) -> dict[str, Any]:
    """The bucket's values by key, as soon as the condition holds of them."""
    return await values_when(core.bus(who).watch(bucket), condition)


BROKEN_MESH = """
apiVersion: config.openservicemesh.io/v1alpha2
kind: MeshConfig
metadata: {name: osm-mesh-config, namespace: osm-system}
spec: {traffic: {enableEgress: perhaps}}
"""


async def test_settings_that_cannot_be_read_close_the_mesh_until_they_can(tmp_path: Path) -> None:
    core, file = MemoryCore(), tmp_path / "mesh.yaml"
    file.write_text(BROKEN_MESH)
    async with serving(core, tmp_path):
        seen = await until(core, "meshspec", lambda seen: "mesh" in seen)
        assert seen["mesh"] == Mesh(permissive=False, egress=False)
        (tmp_path / "split.yaml").write_text(SPLIT)
        seen = await until(core, "meshspec", lambda seen: SPLIT_KEY in seen)
        assert seen["mesh"] == Mesh(permissive=False, egress=False)
        file.write_text(BROKEN_MESH.replace("perhaps", "false"))
        await until(core, "meshspec", lambda seen: seen["mesh"] == Mesh(egress=False))
        file.unlink()
        await until(core, "meshspec", lambda seen: "mesh" not in seen)


async def test_settings_of_an_earlier_run_stay_while_they_cannot_be_read(tmp_path: Path) -> None:
    core, file = MemoryCore(), tmp_path / "mesh.yaml"
    file.write_text(BROKEN_MESH.replace("perhaps", "false"))
    async with serving(core, tmp_path):
        await until(core, "meshspec", lambda seen: "mesh" in seen)
    file.write_text(BROKEN_MESH)
    (tmp_path / "split.yaml").write_text(SPLIT)
    async with serving(core, tmp_path):
        seen = await until(core, "meshspec", lambda seen: SPLIT_KEY in seen)
        assert seen["mesh"] == Mesh(egress=False)


async def test_an_edit_reaches_the_bucket_and_its_verdict_the_status(tmp_path: Path) -> None:
    core, file = MemoryCore(), tmp_path / "split.yaml"
    file.write_text(SPLIT)
    async with serving(core, tmp_path) as health:
        await until(core, "meshspec", lambda seen: SPLIT_KEY in seen)
        file.write_text(SPLIT.replace("weight: 1", "weight: 3"))
        seen = await until(core, "meshspec", lambda seen: seen[SPLIT_KEY].backends[0].weight == 3)
        assert isinstance(seen[SPLIT_KEY], TrafficSplit)
        revision = core.buckets["meshspec"].revision
        lines = await until(core, "status", lambda seen: _revision(seen) == revision, "cli")
        line, progress = lines[SPLIT_LINE], lines["progress.meshspec.one"]
        assert isinstance(line, ObjectStatus)
        assert (line.problems, bool(line.generation)) == ((), True)
        assert isinstance(progress, Progress)
        assert progress.output == revision
        assert health.ready


def _revision(seen: Mapping[str, Any]) -> int:
    return seen[SPLIT_LINE].revision if SPLIT_LINE in seen else 0


async def test_a_mistake_keeps_the_last_good_form_and_is_told_until_it_is_gone(tmp_path: Path) -> None:
    core, file = MemoryCore(), tmp_path / "split.yaml"
    file.write_text(SPLIT)
    async with serving(core, tmp_path):
        before = await until(core, "meshspec", lambda seen: SPLIT_KEY in seen)
        file.write_text(SPLIT.replace("weight: 1", "wieght: 3"))
        lines = await until(core, "status", lambda seen: _problems(seen, SPLIT_LINE), "cli")
        assert [str(problem) for problem in lines[SPLIT_LINE].problems] == [
            f"{file}:8: TrafficSplit shop/canary: spec.backends[0].wieght: unknown field; "
            "allowed are service, weight (did you mean `weight`?)"
        ]
        assert await until(core, "meshspec", lambda seen: True) == before
        file.write_text(SPLIT)
        await until(core, "status", lambda seen: SPLIT_LINE in seen and not _problems(seen, SPLIT_LINE), "cli")


def _problems(seen: Mapping[str, Any], key: str) -> tuple[Any, ...]:
    return tuple(seen[key].problems) if key in seen else ()


async def test_a_line_too_large_for_the_bus_keeps_no_other_back(tmp_path: Path) -> None:
    core = MemoryCore(max_bytes=1_000)
    wrong = "\n".join(f"  field-{at}: unknown" for at in range(40))
    (tmp_path / "a.yaml").write_text(SPLIT.replace("canary", "broken") + wrong)
    (tmp_path / "b.yaml").write_text(SPLIT)
    async with serving(core, tmp_path):
        lines = await until(core, "status", lambda seen: SPLIT_LINE in seen, "cli")
    assert SPLIT_LINE.replace("canary", "broken") not in lines


async def test_a_deleted_file_takes_its_objects_and_their_lines_away(tmp_path: Path) -> None:
    core, file = MemoryCore(), tmp_path / "split.yaml"
    file.write_text(SPLIT)
    async with serving(core, tmp_path):
        await until(core, "status", lambda seen: SPLIT_LINE in seen, "cli")
        file.unlink()
        await until(core, "meshspec", lambda seen: SPLIT_KEY not in seen)
        await until(core, "status", lambda seen: SPLIT_LINE not in seen, "cli")


async def test_a_broken_file_is_told_and_forgotten_when_it_is_mended(tmp_path: Path) -> None:
    core, file = MemoryCore(), tmp_path / "broken.yaml"
    file.write_text("a: [")
    async with serving(core, tmp_path):
        lines = await until(core, "status", _files, "cli")
        (line,) = _files(lines)
        assert line.file == str(file)
        file.write_text(SPLIT)
        await until(core, "status", lambda seen: not _files(seen), "cli")
        await until(core, "meshspec", lambda seen: SPLIT_KEY in seen)


def _files(seen: Mapping[str, Any]) -> list[FileStatus]:
    return [line for line in seen.values() if isinstance(line, FileStatus)]


async def test_a_restart_beside_a_broken_file_takes_nothing_back(tmp_path: Path) -> None:
    core, broken = MemoryCore(), tmp_path / "broken.yaml"
    core.put("meshspec", "mesh", encode(Mesh(egress=False)))
    broken.write_text("a: [")
    (tmp_path / "split.yaml").write_text(SPLIT)
    async with serving(core, tmp_path):
        seen = await until(core, "meshspec", lambda seen: SPLIT_KEY in seen)
        assert seen[MESH_CONFIG.key()] == Mesh(egress=False)
        broken.unlink()
        await until(core, "meshspec", lambda seen: "mesh" not in seen)


async def test_an_absent_folder_takes_nothing_back_and_is_told(tmp_path: Path) -> None:
    core, folder = MemoryCore(), tmp_path / "later"
    core.put("meshspec", "mesh", encode(Mesh(egress=False)))
    async with serving(core, folder):
        assert await until(core, "meshspec", lambda seen: True) == {"mesh": Mesh(egress=False)}
        (line,) = _files(await until(core, "status", _files, "cli"))
        assert line.problems[0].what == "there is no such folder"
        folder.mkdir()
        (folder / "split.yaml").write_text(SPLIT)
        await until(core, "meshspec", lambda seen: set(seen) == {SPLIT_KEY})


async def test_a_second_replica_waits_and_takes_over(tmp_path: Path) -> None:
    core, file = MemoryCore(), tmp_path / "split.yaml"
    file.write_text(SPLIT)
    async with serving(core, tmp_path):
        await until(core, "meshspec", lambda seen: SPLIT_KEY in seen)
        second = Health("meshspec", "two", "test", 0.0)
        task = asyncio.create_task(run(core.bus("meshspec"), Settings(folder=str(tmp_path)), second))
        while second.status.state != "standby":
            await asyncio.sleep(0)
    try:
        file.write_text(SPLIT.replace("weight: 1", "weight: 5"))
        await until(core, "meshspec", lambda seen: seen[SPLIT_KEY].backends[0].weight == 5)
        assert second.ready
    finally:
        task.cancel()
        await asyncio.wait([task])
