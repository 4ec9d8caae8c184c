"""How a command ends before its work does: whatever asks it to, it cleans up first."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import osm.cli
from osm.cli.run_async import INTERRUPTED, run


@pytest.fixture(autouse=True)
def hangup() -> Iterator[None]:
    """Other tests may have been started under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


async def killed_by(number: signal.Signals, notes: list[str]) -> None:
    os.kill(os.getpid(), number)
    try:
        await asyncio.sleep(30)
        notes.append("went on")
    finally:
        await asyncio.sleep(0)
        notes.append("cleaned up")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_lets_a_command_clean_up(number: signal.Signals) -> None:
    notes: list[str] = []
    with pytest.raises(SystemExit) as ended:
        run(killed_by(number, notes))
    assert (ended.value.code, notes) == (INTERRUPTED, ["cleaned up"])


def test_no_command_runs_its_work_in_another_way() -> None:
    folder = Path(osm.cli.__file__).parent
    assert [path.name for path in folder.rglob("*.py") if "asyncio.run(" in path.read_text()] == []


def test_a_closed_terminal_does_not_end_what_runs_under_nohup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def work() -> str:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        return "done"

    assert run(work()) == "done"


def test_the_reason_inside_a_group_is_what_is_raised() -> None:
    async def fail() -> None:
        raise LookupError("the reason")

    async def work() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())

    with pytest.raises(LookupError, match="the reason"):
        run(work())
