"""Secrets on disk: files of mode 0600 that appear whole or not at all.

The only part of this package that touches a file system; what lies in the files is the caller's matter.
"""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from osm.bus.private_files import is_private, our_groups
from osm.pki.keys import PrivateKey, key_pem

SECRET_MODE = 0o600
FOLDER_MODE = 0o700


class LooseMode(Exception):
    """A secret that others may read; the message says how to close it."""


def private_folder(path: Path) -> Path:
    """Make the folder with mode 0700, parents included, if it is not there. An existing one is left as it is."""
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(mode=FOLDER_MODE, exist_ok=True)
    return path


def write_secret(path: Path, body: bytes) -> None:
    """Replace the file in one step: a reader sees the old bytes or the new, also after a crash. Raises OSError."""
    with _whole(path, body) as whole:
        whole.replace(path)
    _sync_folder(path.parent)


def create_secret(path: Path, body: bytes) -> bool:
    """Create the file unless it exists: of many that try at once, one gets True. Raises OSError."""
    with _whole(path, body) as whole:
        try:
            os.link(whole, path)
        except FileExistsError:
            return False
    _sync_folder(path.parent)
    return True


def write_key(path: Path, key: PrivateKey) -> None:
    """A private key, PEM, mode 0600, in one step. Raises OSError."""
    write_secret(path, key_pem(key))


def read_secret(path: Path) -> bytes:
    """Raises LooseMode if others may read or write the file (a Secret mounted for us is none of theirs), OSError if it
    is not there."""
    found = path.stat()
    if not is_private(found, our_groups()):
        mode = stat.S_IMODE(found.st_mode)
        raise LooseMode(f"{path}: found mode {mode:04o}, allowed is 0600; run: chmod 600 {path}")
    return path.read_bytes()


@contextmanager
def _whole(path: Path, body: bytes) -> Iterator[Path]:
    """The bytes in a synced file beside `path`, made with mode 0600 from its first moment; gone afterwards."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """A new name survives a power cut only once its folder is synced."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
