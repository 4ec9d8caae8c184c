"""The benchmark's programs that are not in Python: built by scripts/bench into the cache, unless they are there."""

import re
import subprocess
from pathlib import Path

from bench.child import ROOT


class NotBuilt(Exception):
    """scripts/bench has said why, on stderr, and what to do."""


def built(name: str) -> Path:
    """The program of that name; ours is up to date with its source. Raises NotBuilt."""
    script = str(ROOT / "scripts" / "bench")
    ended = subprocess.run([script, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode:
        raise NotBuilt(f"the benchmark's program {name} is not built: `scripts/bench {name}` says why")
    return Path(ended.stdout.strip())


def required(name: str) -> Path:
    """The same for a `main`, which ends the process without it."""
    try:
        return built(name)
    except NotBuilt as why:
        raise SystemExit(f"osm: {why}") from None


def version_of(folder: Path) -> str:
    """A folder of the cache is called name-version; a version begins with a digit."""
    return re.split(r"-(?=\d)", folder.name, maxsplit=1)[1]
