"""Which process listens on which port of this machine, from /proc; known on Linux only.

Needed for one mistake: an app that takes the wildcard address takes its sidecar's address with it.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from msgspec import Struct

_LISTEN = "0A"  # TCP_LISTEN in linux/tcp_states.h
_PROC = Path("/proc")


class Listener(Struct, frozen=True, kw_only=True, order=True):
    """A listening socket. `wildcard`: on all of the machine's addresses."""

    port: int
    wildcard: bool
    inode: str


def parse(table: str) -> list[Listener]:
    """The listening sockets of a /proc/net/tcp or tcp6 table (proc_pid_net(5))."""
    found = []
    for line in table.splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == _LISTEN:
            host, _, port = words[1].partition(":")
            found.append(Listener(port=int(port, 16), wildcard=not host.strip("0"), inode=words[9]))
    return sorted(found)


def took_wildcard(session: int, ports: Collection[int]) -> int | None:
    """The first of `ports` on which a process of this program listens on the wildcard address."""
    suspects = [each for each in _listeners() if each.wildcard and each.port in ports]
    if not suspects:
        return None
    inodes = {inode for pid in _processes(session) for inode in _sockets(pid)}
    return next((each.port for each in suspects if each.inode in inodes), None)


def _listeners() -> list[Listener]:
    tables = (_PROC / "net" / name for name in ("tcp", "tcp6"))
    return [each for table in tables if table.exists() for each in parse(table.read_text())]


def _processes(session: int) -> Iterator[int]:
    for folder in _PROC.glob("[0-9]*"):
        try:
            after_name = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        if int(after_name[3]) == session:
            yield int(folder.name)


def _sockets(pid: int) -> Iterator[str]:
    try:
        for descriptor in (_PROC / str(pid) / "fd").iterdir():
            target = str(descriptor.readlink())
            if target.startswith("socket:["):
                yield target[8:-1]
    except OSError:
        return  # it ended meanwhile, or is another user's
