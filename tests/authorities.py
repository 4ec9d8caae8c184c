"""Certificate authorities of other people's that `scripts/authorities` has built, and where they are."""

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "scripts" / "authorities"
PROGRAMS = {"step-ca": "step-ca", "cert-manager": "cert-manager-controller"}


class NotBuilt(RuntimeError):
    """The program is not in the cache; the message says how it gets there."""


def find(name: str) -> Path:
    """The folder that the program is in. Raises NotBuilt; nothing is built here, since that takes minutes."""
    environment = {**os.environ, "PATH": "/usr/bin:/bin"}  # without Go the script only looks
    done = subprocess.run([str(SCRIPT), name], capture_output=True, text=True, check=False, env=environment)
    folder = Path(done.stdout.strip() or "/nonexistent")
    if not os.access(folder / PROGRAMS[name], os.X_OK):
        raise NotBuilt(f"{name} is not built; run: scripts/authorities {name}")
    return folder
