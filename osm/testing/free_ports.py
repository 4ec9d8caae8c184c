"""Ports of loopback for what must be told its port before it listens.

Not those of the kernel's own choice: what it has named and got back it may give to whoever asks next, or to any
connection, before it is bound in earnest; and one that a server keeps while it is away could be gone. It holds nothing
open, and knows nothing of who uses a port.
"""

import itertools
import os
import socket

FIRST, COUNT = 20_000, 10_000
"""Above what the mesh and its tests name themselves, below NodePorts (30000) and what Linux chooses from (32768)."""

_STRIDE = 1_009
"""Processes that were started one after the other begin far apart, and not at multiples of one another."""

_turns = itertools.count(os.getpid() * _STRIDE)


def free_port(host: str = "127.0.0.1") -> int:
    """One that nobody has bound now; no later call of this process names it before all others. Raises OSError."""
    for turn in itertools.islice(_turns, COUNT):
        port = FIRST + turn % COUNT
        with socket.socket() as probe:
            if _binds(probe, host, port):
                return port
    raise OSError(f"no port of {host} from {FIRST} to {FIRST + COUNT - 1} is free")


def _binds(probe: socket.socket, host: str, port: int) -> bool:
    try:
        probe.bind((host, port))
    except OSError:
        return False
    return True
