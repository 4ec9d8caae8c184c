"""Closes a connection, found by its peer's address.

gRPC for Python lets a server end a call only with a status, which waits behind what the peer does not read: a peer
that never reads would keep its call, and the response in it, until the connection is too old. So the socket is shut
down beneath gRPC, which then sees a peer that has gone. gRPC's own descriptor stays its own.
"""

import os
import socket
from pathlib import Path
from urllib.parse import unquote

_DESCRIPTORS = Path("/dev/fd")
"""This process's open files, on Linux and on macOS."""

_MAPPED = "::ffff:"
"""How an IPv4 peer looks on a socket that serves both families."""


def cut(peer: str, port: int) -> bool:
    """Shut down the connection of `peer` (as gRPC writes it: `ipv4:127.0.0.1:5000`) to our `port`; False if none is."""
    address = _address(peer)
    return address is not None and any(
        _shut_down_if(int(entry.name), address, port) for entry in tuple(_DESCRIPTORS.iterdir())
    )


def _address(peer: str) -> tuple[str, int] | None:
    family, _, rest = unquote(peer).partition(":")
    host, _, port = rest.rpartition(":")
    return (host.strip("[]"), int(port)) if family in ("ipv4", "ipv6") and port.isdecimal() else None


def _shut_down_if(descriptor: int, address: tuple[str, int], own_port: int) -> bool:
    """Looks at a copy of the descriptor: gRPC may close the original at any time, and another file take its number."""
    try:
        with _copy(descriptor) as copy:
            host, port = copy.getpeername()[:2]
            if (host.removeprefix(_MAPPED), port) != address or copy.getsockname()[1] != own_port:
                return False
            copy.shutdown(socket.SHUT_RDWR)
            return True
    except (OSError, ValueError, TypeError):  # no socket, not connected, gone by now, or of a family without ports
        return False


def _copy(descriptor: int) -> socket.socket:
    """Raises OSError, and leaves nothing open then: `socket.fromfd` forgets to close its copy of what is no socket."""
    number = os.dup(descriptor)
    try:
        return socket.socket(socket.AF_INET6, socket.SOCK_STREAM, fileno=number)  # the family is but a buffer's size
    except OSError:
        os.close(number)
        raise
