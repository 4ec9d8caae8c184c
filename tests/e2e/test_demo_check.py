"""`osm demo` as a newcomer meets it: it proves itself, and however it ends nothing is left of it."""

import json
import signal
import time
from pathlib import Path

import pytest

from osm.testing.mesh import MeshProcess, live_meshes, mesh_process, osm

STEPS = 12
WORKLOADS = 5
pytestmark = pytest.mark.timeout(300)

CHECK_WITHIN_S = 240.0
"""Under the limit of a test. It takes 15 s on two idle cores."""


def serving(mesh: MeshProcess) -> None:
    """Wait until the demo says that everything runs, and see that it is so."""
    mesh.until_printed("manifests to edit: ", within_s=60.0)
    assert mesh.block


def is_in_order(mesh: MeshProcess) -> bool:
    told = mesh.osm("status", "-o", "json")
    return told.status == 0 and len(json.loads(told.out)["proxies"]) == WORKLOADS


def test_the_demo_proves_every_claim_and_leaves_nothing(home: Path, name: str) -> None:
    began_s = time.monotonic()
    with mesh_process("demo", "--check", "-o", "json", name=name, home=home) as mesh:
        mesh.until(lambda: bool(mesh.leftovers().processes), "a first process")
        assert mesh.block
        during = mesh.leftovers()
        status = mesh.wait(CHECK_WITHIN_S)
    print(f"osm demo --check took {time.monotonic() - began_s:.1f} s")  # noqa: T201  # told, not judged
    told = json.loads(mesh.output()[mesh.output().index("{") :])
    assert during.processes
    assert during.folders
    assert [step["name"] for step in told["steps"] if not step["passed"]] == [], mesh.output()
    assert len(told["steps"]) == STEPS
    assert all(step["name"] and step["asked"] and step["measured"] for step in told["steps"])
    assert told["passed"] is True
    assert status == 0
    assert not mesh.leftovers()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing(home: Path, name: str, how: signal.Signals) -> None:
    with mesh_process("demo", name=name, home=home) as mesh:
        serving(mesh)
        running = mesh.leftovers()
        status = mesh.end(how)
    assert len(running.processes) >= 10
    assert len(running.listeners) >= 15
    assert status == 130
    assert not mesh.leftovers()
    assert "Traceback" not in mesh.output()


def test_a_demo_interrupted_while_it_starts_leaves_nothing(home: Path, name: str) -> None:
    with mesh_process("demo", name=name, home=home) as mesh:
        mesh.until(lambda: bool(mesh.leftovers().processes), "a first process")
        status = mesh.end(signal.SIGINT)
    assert status == 130
    assert not mesh.leftovers()
    assert "Traceback" not in mesh.output()


def test_a_killed_demo_takes_its_processes_along_and_the_next_one_cleans_up(home: Path, name: str) -> None:
    with mesh_process("demo", name=name, home=home) as mesh:
        serving(mesh)
        assert mesh.leftovers().listeners
        old_manifest = mesh.folder / "left-by-the-first.yaml"
        old_manifest.write_text("")
        mesh.end(signal.SIGKILL)
        mesh.until_gone()
        assert mesh.leftovers().folders  # nobody was left to remove it
    with mesh_process("demo", name=name, home=home) as second:
        serving(second)
        second.until(lambda: is_in_order(second), "order")
        assert not old_manifest.exists()
        assert second.end() == 130
    assert not second.leftovers()


def test_two_demos_run_beside_each_other(home: Path, name: str) -> None:
    with mesh_process("demo", name=name, home=home) as one:
        serving(one)
        with mesh_process("demo", name=f"{name}b", home=home) as two:
            serving(two)
            assert live_meshes(home) == [name, f"{name}b"]
            assert one.block != two.block
            asked = osm("status", home=home)
            assert asked.status == 1
            assert f"2 meshes run here; say which: {name}, {name}b" in asked.err
            assert "--bus unix:" in asked.err
            again = osm("demo", "--name", name, home=home)
            assert again.status == 1
            assert f"a mesh called '{name}' runs here already" in again.err
        assert not two.leftovers()
        one.until(lambda: is_in_order(one), "order")
    assert not one.leftovers()
