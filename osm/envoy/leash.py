"""A child process that never outlives its parent: `python leash.py PARENT_PID PROGRAM ARGUMENT…`.

The kernel is asked to kill this process when its parent ends, then it becomes the program (same process id).
A file of its own, run by its path without any package, because the request must be made inside the child:
doing it between fork and exec in a process that has threads (gRPC's) can deadlock.
It does nothing on systems other than Linux, and it does not reach a program's own children.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_NOT_STARTED = 127  # what a shell says of a program it cannot start


def leashed(*command: str) -> tuple[str, ...]:
    """The command that starts `command` on a leash held by this process. Costs some 20 ms of CPU at the start."""
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *command)


def become(parent: int, command: list[str]) -> None:
    """Turn into `command`; ends with status 127 and a sentence on stderr if it cannot be started."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the kernel was asked
        sys.exit(_NOT_STARTED)
    try:
        os.execvp(command[0], command)  # noqa: S606  # no shell: the words are passed as they are
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        sys.exit(_NOT_STARTED)


if __name__ == "__main__":
    become(int(sys.argv[1]), sys.argv[2:])
