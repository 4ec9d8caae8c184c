"""A child process that never outlives its parent: `python end_with_parent.py PARENT_PID RECORD PROGRAM ARGUMENT…`.

The kernel is asked to kill this process when its parent ends, then it becomes the program (same process id).
With a RECORD it is tied to its parent only until it has written there who it is: then it may outlive its parent, and
whoever comes next finds it. So there is no moment in which it is neither tied nor recorded.

A file of its own, run by its path without any package, because the request must be made inside the child:
doing it between fork and exec in a process that has threads (gRPC's) can deadlock.
It does nothing on systems other than Linux, and it does not reach a program's own children.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_FREE = 0  # no signal
_NOT_STARTED = 127  # what a shell says of a program it cannot start


def tied_to_parent(*command: str, record: Path | None = None) -> tuple[str, ...]:
    """The command that starts `command` tied to this process, until it is recorded.

    Costs some 20 ms of CPU at the start.
    """
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), str(record or ""), *command)


def become(parent: int, record: str, command: list[str]) -> None:
    """Turn into `command`; ends with status 127 and a sentence on stderr if it cannot be started."""
    _die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(_NOT_STARTED)
    if record:
        _write(Path(record))
        _die_with_parent(_FREE)
    try:
        os.execvp(command[0], command)  # noqa: S606  # no shell: the words are passed as they are
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(_NOT_STARTED)


def start_time(pid: int) -> int:
    """When a process was started, in the kernel's ticks since boot (proc_pid_stat(5), field 22): with the process
    id, it tells a process from a later one of the same number. Raises OSError if there is none."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def boot() -> str:
    """Which boot of the machine this is: start times are counted from it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _write(record: Path) -> None:
    """In one step, for the owner's eyes only."""
    pid = os.getpid()
    draft = record.with_name(f".{record.name}.{pid}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"boot": boot(), "pid": pid, "started": start_time(pid)}, file)
    draft.replace(record)


def _die_with_parent(number: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
