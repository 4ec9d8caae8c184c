"""What a service says of its own state: starting (and what it waits for), standby, active.

Plain values that the service sets and `/readyz`, `/healthz` and the status bucket show.
"""

from collections.abc import Callable

from osm.contracts.status import ServiceStatus


class Health:
    """One service's state in this process. Ready means active: all inputs read, serving."""

    def __init__(self, service: str, replica: str, version: str, started_at_s: float) -> None:
        self.status = ServiceStatus(service=service, replica=replica, version=version, started_at_s=started_at_s)
        self._listeners: list[Callable[[ServiceStatus], None]] = []

    @property
    def service(self) -> str:
        return self.status.service

    @property
    def replica(self) -> str:
        return self.status.replica

    @property
    def ready(self) -> bool:
        return self.status.state == "active"

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

    def _become(self, state: str, waiting_for: tuple[str, ...]) -> None:
        old = self.status
        if (old.state, old.waiting_for) == (state, waiting_for):
            return
        self.status = ServiceStatus(
            service=old.service,
            replica=old.replica,
            version=old.version,
            started_at_s=old.started_at_s,
            state=state,  # type: ignore[arg-type]  # one of the three methods above
            waiting_for=waiting_for,
        )
        for listener in self._listeners:
            listener(self.status)
