"""Root and record in a folder of this machine, shared by the processes that share the folder.

`root.pem` holds key and certificate together, so that there is no moment with one and not the other. Of processes
that start at once, one creates it and all read it.
"""

import asyncio
import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from osm.pki.files import LooseMode, create_secret, private_folder, read_secret, write_secret
from osm.pki.keys import key_pem
from osm.pki.reading import chain_pem
from services.certmgr import ledger
from services.certmgr.ledger import BadLedger
from services.certmgr.rotation import Granted, merged
from services.certmgr.tresor import BadRoot, Tresor, new_root, read_root

ROOT_FILE = "root.pem"
LEDGER_FILE = "granted.json"
LOCK_FILE = "granted.lock"


def open_tresor(folder: Path, *, trust_domain: str, lifetime_s: int, now_s: float) -> Tresor:
    """The root in `folder`, made now if there is none. Blocks on the disk. Raises BadRoot."""
    path = folder / ROOT_FILE
    try:
        private_folder(folder)
        if not path.exists():
            key, root = new_root(trust_domain=trust_domain, lifetime_s=lifetime_s, now_s=now_s)
            create_secret(path, key_pem(key) + chain_pem([root]).encode())
        body = read_secret(path)
    except (OSError, LooseMode) as error:
        raise BadRoot(f"OSM_CERTMGR_CA_FOLDER: the root cannot be used: {error}") from error
    return read_root(key=body, certificate=body, trust_domain=trust_domain, place=str(path))


def open_ledger(folder: Path) -> "FolderLedger":
    """The record in `folder`, which is made if it is not there. Blocks on the disk. Raises BadLedger, OSError."""
    return FolderLedger(private_folder(folder))


class FolderLedger:
    """One folder's record, changed under a lock between processes."""

    def __init__(self, folder: Path) -> None:
        """Blocks on the disk. Raises BadLedger, OSError."""
        self._path = folder / LEDGER_FILE
        self._lock_path = folder / LOCK_FILE
        self._writing = asyncio.Lock()
        self.granted: Granted = _read(self._path)

    async def record(self, issuer: str, not_after_s: int) -> None:
        """Return once it is on disk that `issuer` has granted until `not_after_s`. Raises BadLedger, OSError."""
        async with self._writing:
            if self.granted.get(issuer, 0) < not_after_s:
                self.granted = await asyncio.to_thread(self._write, {issuer: not_after_s})

    def _write(self, more: Granted) -> Granted:
        with _locked(self._lock_path):
            together = merged(_read(self._path), more)
            write_secret(self._path, ledger.written(together))
        return together


def _read(path: Path) -> Granted:
    """Raises BadLedger, OSError."""
    try:
        return ledger.read(read_secret(path), str(path))
    except FileNotFoundError:
        return {}
    except LooseMode as error:
        raise BadLedger(str(error)) from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, so a crash leaves none behind."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
