"""The settings that all sidecars of the agent share, and the paths of each workload's files. Values only."""

import hashlib
from pathlib import Path

from msgspec import Struct

from osm.contracts.names import Address

WORKLOADS = "workloads"
"""The folder of the run folder with a folder for each workload, named by its id."""

SOCKET_PATH_MAX_BYTES = 107
"""Of a Unix socket's path in Linux (unix(7): 108 with the final zero)."""


class SidecarSetup(Struct, frozen=True, kw_only=True):
    """`folder` holds the workloads' folders. `keep_running`: Envoys may outlive the agent; `load_reports`:
    they tell xds how many of their requests fail.
    """

    program: Path
    folder: Path
    xds: Address
    trust_domain: str
    lifetime_s: int | None = None
    keep_running: bool = False
    load_reports: bool = False

    @property
    def run_folder(self) -> Path:
        return self.folder.parent


def home(setup: SidecarSetup, id_: str) -> Path:
    """The folder of one workload."""
    return setup.folder / id_


def admin_socket(setup: SidecarSetup, id_: str) -> Path:
    """Where the workload's Envoy answers: beside its other files, or under a short name if the path is too long."""
    path = home(setup, id_) / "admin.sock"
    if len(bytes(path)) <= SOCKET_PATH_MAX_BYTES:
        return path
    return setup.folder / f"{hashlib.sha256(id_.encode()).hexdigest()[:12]}.sock"
