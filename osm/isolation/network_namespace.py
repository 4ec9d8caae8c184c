"""A network namespace: made, held by a descriptor, entered for a moment.

It has no name in any file system, so it cannot be left behind: it ends with the last process in it and the last
descriptor of it. A namespace belongs to a thread, and a socket to the namespace it was made in; so a thread that
lives for one call enters, and what it made is used from anywhere.
"""

import asyncio
import ctypes
import os
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

from osm.contracts.names import Address

T = TypeVar("T")

_NETWORK = 0x40000000  # CLONE_NEWNET, linux/sched.h


class NetworkNamespace:
    """A network namespace. Raises OSError where the kernel refuses."""

    def __init__(self, descriptor: int) -> None:
        """`descriptor` is ours from now on."""
        self._descriptor = descriptor

    @classmethod
    def make(cls) -> "NetworkNamespace":
        """A new one, empty but for a loopback interface that is down."""
        return cls(_in_thread(_new))

    @classmethod
    def of(cls, pid: int) -> "NetworkNamespace":
        """The one that a process is in."""
        return cls(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    @property
    def path(self) -> str:
        """For other programs to enter it by, while this process holds it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def tcp_socket(self) -> socket.socket:
        """A TCP socket of this namespace, non-blocking."""
        return _in_thread(self._socket)

    async def connect(self, to: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As a program in it would."""
        made = self.tcp_socket()
        try:
            await asyncio.get_running_loop().sock_connect(made, (to.host, to.port))
            return await asyncio.open_connection(sock=made)
        except BaseException:
            made.close()
            raise

    def close(self) -> None:
        os.close(self._descriptor)

    def _socket(self) -> socket.socket:
        _asked("setns", self._descriptor, _NETWORK)
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.settimeout(0.0)
        return made


def _new() -> int:
    _asked("unshare", _NETWORK)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _asked(call: str, *arguments: int) -> None:
    """A call of libc that Python 3.11 lacks. Raises OSError."""
    if getattr(ctypes.CDLL(None, use_errno=True), call)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def _in_thread(do: Callable[[], T]) -> T:
    """What `do` gives in a thread of its own, which takes its namespace with it."""
    results: list[T] = []
    errors: list[OSError] = []

    def work() -> None:
        try:
            results.append(do())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
