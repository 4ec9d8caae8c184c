"""A record on disk of a process that may outlive its parent, so that it is found again and never mistaken.

The record names process, start time and boot: a later process of the same number is another one. What a program has
started shares its session, and belongs to it even when the program itself has ended. Linux only: it reads /proc.
"""

import contextlib
import os
from collections.abc import Collection
from pathlib import Path

import msgspec
from msgspec import Struct

from osm.envoy.end_with_parent import boot, start_time

_PROC = Path("/proc")


class Record(Struct, frozen=True, kw_only=True):
    """A process. `started` is in ticks since `boot`."""

    pid: int
    started: int
    boot: str


def read(path: Path) -> Record | None:
    """What is recorded; None if nothing is, or if it is of another boot."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.boot == boot() else None


def open_process(record: Record) -> int | None:
    """A process file descriptor (pidfd_open(2)) of exactly the recorded process; None if it has ended."""
    try:
        descriptor = os.pidfd_open(record.pid)
    except OSError:
        return None
    if is_running(record):  # looked at after opening: the descriptor cannot be another's any more
        return descriptor
    os.close(descriptor)
    return None


def is_running(record: Record) -> bool:
    """Whether the recorded process is there, and more than a zombie that nobody has collected."""
    return _is_same(record) and _words(record.pid)[0] not in "ZX"


def reach(records: Collection[Record], number: int) -> frozenset[Record]:
    """Send a signal to each process and to all of its session (0 only asks); those that somebody is left of."""
    if not records:
        return frozenset()
    owners = {each.pid: each for each in records if not _is_anothers(each)}
    reached = set()
    for folder in _PROC.glob("[0-9]*"):
        words = _words(int(folder.name))
        if not words or words[0] in "ZX" or int(words[3]) not in owners:
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(folder.name), number)
            reached.add(owners[int(words[3])])
    return frozenset(reached)


def _is_anothers(record: Record) -> bool:
    """Whether the number is a later process's by now. Then the session has gone too: the kernel does not give away
    the number of a session that has members."""
    return bool(_words(record.pid)) and not _is_same(record)


def _is_same(record: Record) -> bool:
    with contextlib.suppress(OSError):
        return start_time(record.pid) == record.started
    return False


def _words(pid: int) -> list[str]:
    """Of /proc/<pid>/stat what follows the program's name: state, parent, group, session, …"""
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return []
