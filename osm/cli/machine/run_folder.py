"""A mesh's run folder and its block of loopback addresses: taken together, given back together.

Separate from the mesh because it must outlast every part of it.
"""

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from osm.cli.output import CommandError
from osm.cli.place import SOCKET, home, is_live
from osm.envoy.guardian import end_recorded
from osm.isolation.network import CONTROL_PLANE

FIRST_BLOCK, LAST_BLOCK = 66, 127
"""127.66.0.0/16 to 127.127.0.0/16: clear of 127.0.0.0/16 and 127.53.0.53, which systems use themselves."""


class RunFolder(Struct, frozen=True, kw_only=True):
    """`path`: mode 0700, short enough for Unix sockets. `block`: this mesh's addresses are 127.<block>.x.y."""

    path: Path
    block: int
    line: int | None = None
    """In a network of the mesh's own: the descriptor of its line to the process outside (`osm.isolation.outside`). Its
    block of loopback addresses is its own too, then."""

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
    path = home() / name
    if is_live(path / SOCKET):
        raise CommandError(f"a mesh called {name!r} runs here already", remedy="end it, or choose another --name")
    with _free_block() as block:
        end_recorded(path, 0.0)  # of a mesh that was killed together with its guardian
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(mode=0o700)
        try:
            yield RunFolder(path=path, block=block, line=line)
        finally:
            shutil.rmtree(path, ignore_errors=True)


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
