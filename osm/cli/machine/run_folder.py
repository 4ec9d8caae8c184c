"""A mesh's run folder and its block of loopback addresses: taken together, given back together.

Separate from the mesh because it must outlast every part of it.
"""

import fcntl
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from osm.cli.find_mesh import SOCKET, home
from osm.cli.output import CommandError
from osm.envoy.cleanup import end_recorded
from osm.isolation.network import CONTROL_PLANE

FIRST_BLOCK, LAST_BLOCK = 66, 127
"""127.66.0.0/16 to 127.127.0.0/16: clear of 127.0.0.0/16 and 127.53.0.53, which systems use themselves."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
"""It becomes a folder that is emptied and removed, so it must not lead anywhere else; and sockets lie in it."""


class RunFolder(Struct, frozen=True, kw_only=True):
    """`path`: mode 0700, short enough for Unix sockets. `block`: this mesh's addresses are 127.<block>.x.y."""

    path: Path
    block: int
    line: int | None = None
    """In a network of the mesh's own: the descriptor of its line to the process outside
    (`osm.isolation.host_sockets`). Its block of loopback addresses is its own too, then."""

    @property
    def isolated(self) -> bool:
        return self.line is not None

    @property
    def socket(self) -> Path:
        return self.path / SOCKET

    @property
    def xds_listen(self) -> str:
        return f"{CONTROL_PLANE if self.isolated else f'127.{self.block}.0.1'}:15128"


@contextmanager
def run_folder(name: str, *, line: int | None = None) -> Iterator[RunFolder]:
    """A fresh run folder called `name` and a free block; both gone at the end. Raises CommandError."""
    if not _NAME.fullmatch(name):
        raise CommandError(
            f"mesh {name!r}: --name takes lower-case letters, digits and dashes between them, at most 32",
            remedy="--name my-mesh",
            status=2,
        )
    path = home() / name
    with _claimed(path), _free_block() as block:
        end_recorded(path, 0.0)  # of a mesh that was killed together with its guardian
        _empty(path)
        try:
            yield RunFolder(path=path, block=block, line=line)
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _claimed(path: Path) -> Iterator[None]:
    """Hold the folder, made if absent. The claim is a lock on the folder itself: it ends with whoever holds it.

    A socket that answers would not do: two meshes that start at once both find none. Raises CommandError.
    """
    while True:
        path.mkdir(mode=0o700, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except FileNotFoundError:
            continue  # its last holder has just removed it
        try:
            _lock(descriptor, path.name)
            if _is_still(path, descriptor):
                yield
                return
        finally:
            os.close(descriptor)


def _lock(descriptor: int, name: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CommandError(
            f"a mesh called {name!r} runs here already", remedy="end it, or choose another --name"
        ) from None


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether what was opened is what stands there: its last holder may have removed it in between."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink()


@contextmanager
def _free_block() -> Iterator[int]:
    """Claimed by an abstract Unix socket: seen by all users of the machine's loopback, and never left behind."""
    for block in range(FIRST_BLOCK, LAST_BLOCK + 1):
        with socket.socket(socket.AF_UNIX) as claim:
            try:
                claim.bind(f"\0osm-loopback-block-{block}")
            except OSError:
                continue
            yield block
        return
    raise CommandError(f"all {LAST_BLOCK - FIRST_BLOCK + 1} blocks of loopback addresses are in use")
