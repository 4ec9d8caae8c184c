"""Ends what a mesh has left running: `python -m osm.envoy.cleanup RUN_FOLDER`.

A process of its own, because it must outlive the one that starts a mesh: it waits for the end of its standard input,
which comes however that process ends. Then every process recorded in the run folder ends, and the folder goes.
It ends nothing that is not recorded, and nothing that only has a recorded process's number (see `process_record`).
By hand, it ends what an agent with `keep_running` has left: `echo end | python -m osm.envoy.cleanup RUN_FOLDER`.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from osm.envoy import process_record
from osm.envoy.process_record import Record

SUFFIX = ".process"

_RECORDS = f"workloads/*/*{SUFFIX}"

GRACE_S = 3.0
"""Between SIGTERM and SIGKILL when a mesh ends in order; one that was killed has none to give."""

LOOK_EVERY_S = 0.02
"""Others' processes tell no event."""

QUIET_S = 0.5
"""Nothing may be left for so long before it is believed: an agent that is being killed may have just started one."""

_IN_ORDER = b"end"


@contextmanager
def guarded(folder: Path) -> Iterator[None]:
    """However this process ends, what is recorded in `folder` ends with the block. Not for use in a busy loop:
    leaving it blocks until all has ended, GRACE_S and a little more at worst."""
    guardian = subprocess.Popen(
        (sys.executable, "-m", "osm.envoy.cleanup", str(folder)),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        guardian.communicate(_IN_ORDER)


def end_recorded(folder: Path, grace_s: float, quiet_s: float = 0.0, *, but: frozenset[Path] = frozenset()) -> None:
    """End every process recorded in a run folder, by force after `grace_s`; then watch for another `quiet_s`.

    `but`: folders of workloads that are left alone.
    """
    seen: set[Record] = set()
    by_force_s = time.monotonic() + grace_s
    quiet_since_s = time.monotonic()
    while True:
        paths = (path for path in folder.glob(_RECORDS) if path.parent not in but)
        fresh = {found for path in paths if (found := process_record.read(path)) is not None} - seen
        seen |= fresh
        if time.monotonic() >= by_force_s:
            left = process_record.reach(seen, signal.SIGKILL)
        else:
            left = process_record.reach(fresh, signal.SIGTERM) | process_record.reach(seen - fresh, 0)
        if left:
            quiet_since_s = time.monotonic()
        elif time.monotonic() - quiet_since_s >= quiet_s:
            return
        time.sleep(LOOK_EVERY_S)


def guard(folder: Path) -> None:
    """Wait for the end of standard input, then end all and remove the folder, unless another took its place."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends last
    ours = folder.stat()
    in_order = sys.stdin.buffer.read() != b""
    end_recorded(folder, GRACE_S if in_order else 0.0, 0.0 if in_order else QUIET_S)
    if folder.exists() and os.path.samestat(folder.stat(), ours):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
