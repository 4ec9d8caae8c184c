"""Processes that an earlier agent was told to leave running: recorded workload by workload, and taken over.

Each workload's folder holds what it was started as; the processes in it have a `process_record`.
A workload whose record cannot be read is not taken over: its processes end.
"""

from collections.abc import Iterator
from pathlib import Path

from osm.contracts.codec import Undecodable, decode, encode
from osm.envoy import process_record
from osm.envoy.cleanup import SUFFIX, end_recorded
from osm.pki.files import LooseMode, read_secret, write_secret
from services.local.plan_types import Planned

_STARTED = "started.json"
"""Holds the environment of programs, so it is for the owner alone."""

END_WITHIN_S = 1.0
"""What nobody can go on with has no clients either: nobody has supervised it."""


def write(folder: Path, planned: Planned) -> None:
    """The workload in this folder is started as this. Raises OSError."""
    write_secret(folder / _STARTED, encode(planned))


def forget(folder: Path) -> None:
    """It has ended."""
    (folder / _STARTED).unlink(missing_ok=True)
    for path in folder.glob(f"*{SUFFIX}"):
        path.unlink(missing_ok=True)


def take(run_folder: Path, *, keep: bool) -> tuple[Planned, ...]:
    """What is left and can be gone on with, sorted; all else ends, everything if we do not `keep` what runs."""
    found = dict(_read(run_folder / "workloads")) if keep else {}
    end_recorded(run_folder, END_WITHIN_S, but=frozenset(found))
    return tuple(found[folder] for folder in sorted(found))


def _read(workloads: Path) -> Iterator[tuple[Path, Planned]]:
    for path in sorted(workloads.glob(f"*/{_STARTED}")):
        try:
            planned = decode(Planned, read_secret(path))
        except (OSError, LooseMode, Undecodable):
            continue
        if planned.id == path.parent.name and any(map(_is_running, path.parent.glob(f"*{SUFFIX}"))):
            yield path.parent, planned


def _is_running(path: Path) -> bool:
    found = process_record.read(path)
    return found is not None and process_record.is_running(found)
