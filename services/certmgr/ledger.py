"""The record of what each issuer has granted, on disk, shared by the processes that share the folder.

Raised before a signature leaves, under a lock between processes; the decision how far is `rotation`'s.
"""

import asyncio
import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from osm.pki.files import read_secret, write_secret
from services.certmgr.rotation import merged

LEDGER_FILE = "granted.json"
LOCK_FILE = "granted.lock"

_encoder = msgspec.json.Encoder(order="sorted")
_decoder = msgspec.json.Decoder(dict[str, int])


class BadLedger(Exception):
    """The record is there and cannot be read; the message names the file."""


class Ledger:
    """One folder's record. `granted` is this process's view: never more than what is on disk."""

    def __init__(self, folder: Path) -> None:
        """Blocks on the disk. Raises BadLedger, OSError."""
        self._path = folder / LEDGER_FILE
        self._lock_path = folder / LOCK_FILE
        self._writing = asyncio.Lock()
        self.granted: Mapping[str, int] = _read(self._path)

    async def record(self, issuer: str, not_after_s: int) -> None:
        """Return once it is on disk that `issuer` has granted until `not_after_s`. Raises BadLedger, OSError."""
        async with self._writing:
            if self.granted.get(issuer, 0) < not_after_s:
                self.granted = await asyncio.to_thread(self._write, {issuer: not_after_s})

    def _write(self, more: Mapping[str, int]) -> Mapping[str, int]:
        with _locked(self._lock_path):
            together = merged(_read(self._path), more)
            write_secret(self._path, _encoder.encode(together) + b"\n")
        return together


def _read(path: Path) -> Mapping[str, int]:
    try:
        return _decoder.decode(read_secret(path))
    except FileNotFoundError:
        return {}
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadLedger(f"{path}: not a record of issuers and times: {error}") from error


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; the lock goes with the process, so a crash leaves none behind."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
