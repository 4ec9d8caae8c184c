"""Finds the meshes that this user runs on this machine: their run folders and sockets.

A mesh's run folder is `<temporary folder>/osm-<uid>/<name>`, mode 0700: short enough for Unix sockets
(108 bytes), private, and gone after a reboot.
"""

import os
import shutil
import socket
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from osm.cli.output import CommandError

SOCKET = "mesh.sock"


def home() -> Path:
    """The folder that holds all run folders; made if absent. Raises CommandError if someone else owns it."""
    path = Path(tempfile.gettempdir()) / f"osm-{_user()}"
    with suppress(FileExistsError):  # whatever it is; exist_ok would let folders pass alone
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise CommandError(
            f"{path} must be a folder of yours that nobody else can open",
            remedy="remove it, or set TMPDIR to a folder of yours",
        )
    return path


def _user() -> int:
    """This user's number; inside an isolated mesh it is the one that the user has outside of it."""
    try:
        return user_outside(os.getuid(), Path("/proc/self/uid_map").read_text())
    except OSError:
        return os.getuid()  # no Linux


def user_outside(uid: int, uid_map: str) -> int:
    """The number that is `uid` in a user namespace with this map (user_namespaces(7))."""
    for line in uid_map.splitlines():
        inside, outside, count = map(int, line.split())
        if inside <= uid < inside + count:
            return outside + uid - inside
    return uid


def socket_url(path: Path) -> str:
    return f"unix:{path}"


def is_live(path: Path) -> bool:
    """Whether a mesh answers at this socket; a leftover of a killed one does not."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def find(bus: str | None) -> str:
    """The bus to use: the one named, else the only mesh that runs here. Raises CommandError."""
    if bus:
        return bus
    found = live()
    if len(found) == 1:
        return socket_url(found[0])
    if not found:
        raise CommandError(
            "no mesh runs here, and no kubeconfig names a cluster",
            remedy=f"{program()} demo, or {program()} up -f FOLDER; --kubeconfig FILE for a mesh of a cluster",
        )
    raise CommandError(
        f"{len(found)} meshes run here; say which: " + ", ".join(path.parent.name for path in found),
        remedy=f"{program()} status --bus {socket_url(found[0])}",
    )


def live() -> list[Path]:
    """The sockets of all meshes that run here, sorted."""
    return [path for path in sorted(home().glob(f"*/{SOCKET}")) if is_live(path)]


def program() -> str:
    """How the user would call us again from where they stand: `osm` if that is us, else our path."""
    here = Path(sys.argv[0])
    if here.name != "osm":
        return "osm"
    on_path = shutil.which("osm")
    if on_path is not None and Path(on_path).resolve() == here.resolve():
        return "osm"
    try:
        return str(here.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(here.absolute())
