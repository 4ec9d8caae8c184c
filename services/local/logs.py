"""Logs of workloads: files that processes append to, kept within a bound.

Processes write by themselves (they would stall on a pipe that a busy agent does not read), so the bound is kept
from outside: a file that has grown too large is copied aside and emptied. A line written in between is lost.
"""

import asyncio
import shutil
from pathlib import Path
from typing import NoReturn

MAX_BYTES = 4 * 1024 * 1024
"""Per file, and as much again for the one before it."""

LOOK_EVERY_S = 5.0


async def keep_bounded(folder: Path, max_bytes: int = MAX_BYTES, every_s: float = LOOK_EVERY_S) -> NoReturn:
    """Watch over all `*.log` files of the workloads below `folder`; endless."""
    while True:
        await asyncio.to_thread(trim, folder, max_bytes)
        await asyncio.sleep(every_s)


def trim(folder: Path, max_bytes: int) -> None:
    """Empty each file that is too large, after copying it to `<name>.1`."""
    for log in folder.glob("*/*.log"):
        try:
            if log.stat().st_size > max_bytes:
                shutil.copyfile(log, log.with_name(f"{log.name}.1"))
                with log.open("r+b") as file:
                    file.truncate()
        except FileNotFoundError:
            continue  # its workload has gone meanwhile


def tail(log: Path, since: int, max_bytes: int = 4096) -> str:
    """The end of what was written after the first `since` bytes."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since if since <= size else 0, size - max_bytes))
            return file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
