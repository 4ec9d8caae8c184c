"""What a service says of its own state: starting (and what it waits for), standby, active.

Plain values that the service sets and `/readyz` and the status bucket show. It publishes nothing itself.
"""

import os
import re
import socket
import time
from collections.abc import Callable
from typing import Literal

from msgspec import structs

from osm.contracts.status import ServiceStatus


class Health:
    """One service's state in this process. Ready means active or standby: a standby does all that it is there for,
    and a Deployment of a writer and its standby would never be whole if only one of them counted."""

    def __init__(self, service: str, replica: str, version: str, started_at_s: float) -> None:
        self.status = ServiceStatus(service=service, replica=replica, version=version, started_at_s=started_at_s)
        self._listeners: list[Callable[[ServiceStatus], None]] = []

    @classmethod
    def begin(cls, service: str, replica: str = "", version: str = "") -> "Health":
        """Now, as this process's replica."""
        return cls(service, replica_name(replica), version or installed_version(), time.time())

    @property
    def service(self) -> str:
        return self.status.service

    @property
    def replica(self) -> str:
        return self.status.replica

    @property
    def ready(self) -> bool:
        return self.status.state != "starting"

    def on_change(self, listener: Callable[[ServiceStatus], None]) -> None:
        self._listeners.append(listener)

    def starting(self, *waiting_for: str) -> None:
        """Not serving yet; each `waiting_for` is a phrase such as "the full picture of bucket endpoints"."""
        self._become("starting", waiting_for)

    def standby(self, *waiting_for: str) -> None:
        """Another replica is the writer; this one takes over when that one ends."""
        self._become("standby", waiting_for)

    def active(self) -> None:
        self._become("active", ())

    def _become(self, state: Literal["starting", "standby", "active"], waiting_for: tuple[str, ...]) -> None:
        if (self.status.state, self.status.waiting_for) == (state, waiting_for):
            return
        self.status = structs.replace(self.status, state=state, waiting_for=waiting_for)
        for listener in self._listeners:
            listener(self.status)


def replica_name(given: str = "") -> str:
    """The name given, else host and process id; spelt so that it fits a key of the bus (no `_`, no `.`)."""
    name = given or f"{socket.gethostname()}-{os.getpid()}"
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or f"pid-{os.getpid()}"


def installed_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # 20 ms that only a start needs

    try:
        return version("osm")
    except PackageNotFoundError:
        return "unknown"
