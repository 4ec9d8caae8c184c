"""Processes that outlive whoever started them: recorded, found again, never mistaken, and ended by the guardian."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from osm.envoy import process_record
from osm.envoy.child import Adopted, Child
from osm.envoy.cleanup import end_recorded, guard, guarded
from osm.envoy.end_with_parent import boot, start_time
from osm.envoy.process_record import Record

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@contextmanager
def program(*argv):
    """A program in a session of its own, with its record."""
    process = subprocess.Popen(argv, start_new_session=True, stdout=subprocess.PIPE)
    try:
        yield process, Record(pid=process.pid, started=start_time(process.pid), boot=boot())
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def written(folder, record, name="app-web", workload="shop-0.town"):
    path = folder / "workloads" / workload / f"{name}.process"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(record))
    return path


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(true):
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.01)


async def middle(script):
    """A process that runs `script` and then sleeps; what it says first is a number."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{script}; import time; time.sleep(600)"),
        stdout=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    return process, int(await process.stdout.readline())


async def test_a_recorded_program_outlives_its_parent_and_is_found(tmp_path):
    path = tmp_path / "app.process"
    parent, pid = await middle(
        "import subprocess; from pathlib import Path; from osm.envoy.end_with_parent import tied_to_parent;"
        f"child = subprocess.Popen(tied_to_parent('sleep', '600', record=Path({str(path)!r})), start_new_session=True,"
        "stdout=subprocess.DEVNULL);"
        "print(child.pid, flush=True)"
    )
    try:
        await until(lambda: Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep"))
        assert path.stat().st_mode & 0o777 == 0o600
        parent.kill()
        await parent.wait()
        assert is_alive(pid)
        found = Adopted.find(path)
        assert found is not None
        assert found.pid == pid
        await found.stop(10)
        assert not found.alive
        assert await found.ended() is None
        assert Adopted.find(path) is None
    finally:
        process_record.reach(
            [Record(pid=pid, started=json.loads(path.read_text())["started"], boot=boot())], signal.SIGKILL
        )


async def test_the_end_of_a_found_program_is_known_at_once(tmp_path):
    with program("sleep", "600") as (process, record):
        found = Adopted.find(written(tmp_path, record))
        process.kill()
        async with asyncio.timeout(30):
            await found.ended()


async def test_a_later_process_of_the_same_number_is_left_alone(tmp_path):
    with program("sleep", "600") as (process, record):
        earlier = msgspec.structs.replace(record, started=record.started - 1)
        path = written(tmp_path, earlier)
        assert not process_record.is_running(earlier)
        assert Adopted.find(path) is None
        end_recorded(tmp_path, 0.0)
        assert process.poll() is None


@pytest.mark.parametrize("body", ["", "{}", '{"boot": "another", "pid": 1, "started": 1}', "[1]"])
def test_a_record_that_is_none_or_of_another_boot_is_of_nobody(tmp_path, body):
    path = tmp_path / "app.process"
    path.write_text(body)
    assert process_record.read(path) is None
    assert process_record.read(tmp_path / "none.process") is None


async def test_what_a_program_has_started_ends_though_the_program_has_ended(tmp_path):
    with program("sh", "-c", "sleep 600 & echo $!; exec sleep 600") as (process, record):
        grandchild = int(process.stdout.readline())
        path = written(tmp_path, record)
        process.kill()
        process.wait()
        assert is_alive(grandchild)
        assert Adopted.find(path) is None
        await until(lambda: not is_alive(grandchild))


async def test_a_program_that_is_let_go_before_it_is_recorded_ends(tmp_path):
    record = tmp_path / "no" / "folder" / "app.process"
    child = Child.start(("sleep", "600"), environment={}, folder=tmp_path, log=tmp_path / "log", record=record)
    child.release()
    await until(lambda: not is_alive(child.pid))


async def test_a_mesh_that_is_killed_takes_what_it_recorded_along(tmp_path):
    folder = tmp_path / "run"
    with program("sleep", "600") as (process, record):
        written(folder, record)
        mesh, _ = await middle(
            "import os; from pathlib import Path; from osm.envoy.cleanup import guarded;"
            f"guard = guarded(Path({str(folder)!r})); guard.__enter__(); print(os.getpid(), flush=True)"
        )
        mesh.kill()
        await mesh.wait()
        await until(lambda: process.poll() is not None)
        await until(lambda: not folder.exists())


async def test_a_mesh_that_ends_in_order_asks_first_and_insists_later(tmp_path, monkeypatch):
    polite = "trap 'touch asked; exit 0' TERM; echo; while true; do sleep 0.05; done"
    deaf = "trap '' TERM; echo; while true; do sleep 0.05; done"
    folder = tmp_path / "run"
    monkeypatch.chdir(tmp_path)
    with program("sh", "-c", polite) as (one, record), program("sh", "-c", deaf) as (two, other):
        for process in (one, two):
            process.stdout.readline()
        written(folder, record)
        written(folder, other, "app-deaf")
        with guarded(folder):
            assert one.poll() is None
        assert one.wait(30) == 0
        assert two.wait(30) == -signal.SIGKILL
        assert (tmp_path / "asked").exists()
        assert not folder.exists()


def test_a_folder_of_another_mesh_in_the_same_place_stays(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    folder.mkdir()

    class Input:
        """Standard input that ends after another mesh has taken the place."""

        @property
        def buffer(self):
            folder.rename(tmp_path / "old")
            folder.mkdir()
            return io.BytesIO()

    monkeypatch.setattr(sys, "stdin", Input())
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    guard(folder)
    assert folder.exists()
