"""`osm bus credentials`: what a NATS server of one mesh and its users need, as folders of files.

The same that `osm prepare` makes as Secrets of a cluster, decided in the same place; here for meshes that run
elsewhere (docker compose). A folder for each user, so that each gets its own and no other's.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from osm.cli.kubernetes.mesh_secrets import BadSecret, Data, Mesh, due, names
from osm.pki.files import write_secret

BUS = "osm-nats"
"""How the names of what concerns the bus begin; the mesh's root is certmgr's own matter here."""


def make_credentials(folder: Path, trust_domain: str) -> tuple[str, ...]:
    """Make what is missing, renew what ends soon, keep the rest; returns the folders that changed.

    Raises BadSecret, OSError.
    """
    mesh = Mesh(namespace=BUS, trust_domain=trust_domain, cluster_domain="local", root_secret="root")  # noqa: S106  # a name
    wanted = [name for name in names(mesh) if name.startswith(BUS)]
    found = {name: data for name in wanted if (data := _read(folder / name))}
    changes = {name: data for name, data in due(found, mesh, time.time()).items() if name in wanted}
    for name, data in changes.items():
        _write(folder / name, data)
    return tuple(changes)


def _read(folder: Path) -> Data:
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def _write(folder: Path, data: Mapping[str, bytes]) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in data.items():
        write_secret(folder / name, content)


__all__ = ["BadSecret", "make_credentials"]
