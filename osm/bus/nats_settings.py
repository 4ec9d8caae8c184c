"""How to reach NATS: credentials, TLS, signing keys, and the times of the adapter. Read from `OSM_NATS_…`.

Separate, so that settings are read without loading a NATS client.
"""

import stat
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from osm.bus import BusError
from osm.bus.private_files import is_private, our_groups

Seconds = Annotated[float, Meta(gt=0)]


class NatsSettings(Struct, frozen=True, kw_only=True):
    """Every field but the keys' has a default that serves a loopback server without permissions."""

    user: str = ""
    """NATS user; the service's own name if empty while a password file is given."""
    password_file: str = ""
    """File with the password, mode 0600 or stricter."""
    creds_file: str = ""
    """NATS credentials file (JWT and seed), mode 0600 or stricter; instead of user and password."""
    ca_file: str = ""
    """Roots that the server's certificate must come from (PEM); the system's if empty."""
    cert_file: str = ""
    """The client's certificate (PEM), for a server that verifies clients."""
    key_file: str = ""
    """Its key, mode 0600 or stricter."""
    writers_file: str = ""
    """The public keys of all services (JSON): what is not signed by a bucket's owner is not believed.
    `osm bus keys` makes it."""
    signing_key_file: str = ""
    """The service's own Ed25519 key (PEM), mode 0600 or stricter. Users that only read need none."""
    unsigned: bool = False
    """Run without keys: whoever holds any password of this NATS server can then change what the mesh does."""
    replicas: Annotated[int, Meta(ge=1, le=5)] = 1
    """Copies of each bucket in a NATS cluster: 1, 3 or 5. Buckets can be rebuilt, so 1 loses time, never data."""
    connect_timeout_s: Seconds = 2.0
    """For one attempt to connect. Attempts never end."""
    reconcile_s: Seconds = 30.0
    """How often a watch compares itself with its bucket: a consumer can be lost without a word."""
    seat: str = ""
    """A name that this process has alone for as long as it lives (a pod's name; `OSM_REPLICA` if that is set): after a
    crash its successor takes the lease up again at once. Empty waits until the old lease has run out."""
    lease_s: Seconds = 4.0
    """A writer silent for this long loses its bucket to a standby; it says a word at a third of it."""


def read_secret(path: str) -> str:
    """A secret file's text, stripped. Raises BusError if it is missing or others may read it."""
    require_private(path)
    return Path(path).read_text(encoding="utf-8").strip()


def require_private(path: str) -> None:
    """Raises BusError unless only its owner may read the file, or it is a Secret mounted for this process."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise BusError(f"file {path}: {error.strerror}") from error
    if not is_private(found, our_groups()):
        mode = stat.S_IMODE(found.st_mode)
        raise BusError(f"file {path}: mode {mode:04o} lets others read it, allowed are 0600 and 0400")
