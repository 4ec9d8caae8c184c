"""A kept process with real processes: started again, given up, ended."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from osm.bus.background_tasks import background_tasks
from osm.cli.machine.supervised_process import BAD_SETTING, HOPELESS_STARTS, SupervisedProcess
from osm.runtime.service import ServiceFailed

ENDLESS = "import time; print('begun', flush=True); time.sleep(1000)"


def kept(folder: Path, program: str) -> SupervisedProcess:
    return SupervisedProcess("piece-0", (sys.executable, "-c", program), environment={}, folder=folder, grace_s=5.0)


@asynccontextmanager
async def running(process: SupervisedProcess) -> AsyncIterator[None]:
    async with background_tasks(process.run()):
        while not process.log.exists() or "begun" not in process.log.read_text():
            await asyncio.sleep(0.01)
        yield


async def test_what_is_killed_is_started_again_with_its_log_kept(tmp_path: Path) -> None:
    process = kept(tmp_path, ENDLESS)
    async with running(process):
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while process.starts < 2 or process.log.read_text().count("begun") < 2:
            await asyncio.sleep(0.01)
        assert process.pid not in (None, first)


async def test_nothing_is_left_when_it_is_cancelled(tmp_path: Path) -> None:
    process = kept(tmp_path, ENDLESS)
    async with running(process):
        pid = process.pid
        assert pid is not None
    assert process.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_wrong_setting_is_not_tried_again(tmp_path: Path) -> None:
    process = kept(tmp_path, f"import sys; print('OSM_X: found 1, allowed is 2'); sys.exit({BAD_SETTING})")
    with pytest.raises(ServiceFailed, match="piece-0: OSM_X: found 1, allowed is 2"):
        await process.run()
    assert process.starts == 1


async def test_what_never_comes_up_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    process = kept(tmp_path, "print('first'); print('cannot listen'); raise SystemExit(1)")
    with pytest.raises(ServiceFailed, match="piece-0: cannot listen"):
        await process.run()
    assert process.starts == HOPELESS_STARTS
