"""Where the nats-server program is: named by the user, built by `make nats-server`, or installed.

Separate from whoever starts it (a mesh of its own server, tests), so that both say the same when there is none.
"""

import os
import shutil
from pathlib import Path

VERSION = "2.15.2"
"""What we test with, and what `make nats-server` builds; `scripts/nats-server` says the same."""

OLDEST_VERSION = "2.9.10"
"""The oldest supported: Debian 12's package."""


class NoServer(RuntimeError):
    """There is no nats-server to be found, or it did not start; the message says what to do."""


def find() -> Path:
    """The program: `OSM_NATS_SERVER`, the cache that `make nats-server` fills, or PATH. Raises NoServer."""
    if named := os.environ.get("OSM_NATS_SERVER"):
        if not os.access(named, os.X_OK):
            raise NoServer(f"OSM_NATS_SERVER: expected an executable file, found {named}")
        return Path(named)
    cached = _cached(VERSION)
    if cached.is_file():
        return cached
    if on_path := shutil.which("nats-server"):
        return Path(on_path)
    raise NoServer(f"nats-server is neither in OSM_NATS_SERVER, nor {cached}, nor in PATH: run `make nats-server`")


def find_oldest() -> Path:
    """The oldest supported one, which `scripts/nats-server oldest` puts into the cache. Raises NoServer."""
    cached = _cached(OLDEST_VERSION)
    if not cached.is_file():
        raise NoServer(f"{cached} is missing: run `scripts/nats-server oldest`")
    return cached


def _cached(version: str) -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "osm" / "tools" / f"nats-server-{version}" / "nats-server"
