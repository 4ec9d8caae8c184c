"""Runs one service in this process: its log context, its status line, and the reason of its end.

`process.serve` runs one of these, an embedded mesh several; a service cannot tell the difference.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar

import structlog

from osm.bus import Bus, BusError, LeadershipLost
from osm.contracts.channels import SERVICE_STATUS
from osm.contracts.status import ServiceStatus
from osm.runtime.health import Health
from osm.runtime.status_lines import REFRESH_S, courtesy

S = TypeVar("S")
Run = Callable[[Bus, S, Health], Awaitable[None]]
"""What every service's `app.py` offers: it returns only by failing or by being cancelled."""

FAREWELL_S = 1.0
"""How long an ending service tries to take its status line away."""

log = structlog.get_logger()


class ServiceFailed(Exception):
    """A service ended though nobody asked it to: its name and the first reason."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service
        self.reason = reason


class Deposed(ServiceFailed):
    """Another replica has taken over what this one wrote: nothing is broken, and started again it stands by."""


async def run_service(name: str, run: Run[Any], bus: Bus, settings: object, health: Health) -> NoReturn:
    """Run until cancelled. Raises ServiceFailed, from the first real error, if the service ends by itself."""
    with structlog.contextvars.bound_contextvars(service=name, replica=health.replica):
        log.info("service starts", version=health.status.version)
        health.on_change(_teller())
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(report(bus, health), name=f"{name}: status")
                await _endless(name, run(bus, settings, health))
        except BaseExceptionGroup as group:
            reason = first_reason(group)
            failed = _failed(name, reason)
            raise failed from (None if failed is reason else reason)
        raise AssertionError("unreachable: the group ends by an error or by cancellation")


def _failed(name: str, reason: BaseException) -> ServiceFailed:
    """Say why, once. The bus's own word is a whole sentence; of anything else it helps to know where it came from."""
    if isinstance(reason, BusError):
        log.error("service failed", why=str(reason))
        kind = Deposed if isinstance(reason, LeadershipLost) else ServiceFailed
        return kind(name, str(reason))
    failed = reason if isinstance(reason, ServiceFailed) else ServiceFailed(name, f"{type(reason).__name__}: {reason}")
    log.error("service failed", why=failed.reason, exc_info=reason)
    return failed


def _teller() -> Callable[[ServiceStatus], None]:
    """Says each change of state, and each new thing that is waited for; that one has come is no news."""
    told: tuple[str, frozenset[str]] = ("", frozenset())

    def tell(status: ServiceStatus) -> None:
        nonlocal told
        (state, before), now = told, frozenset(status.waiting_for)
        told = (status.state, now)
        if state != status.state or not now < before:
            log.info("service state changed", state=status.state, waiting_for=status.waiting_for)

    return tell


async def _endless(name: str, work: Awaitable[None]) -> NoReturn:
    await work
    raise ServiceFailed(name, "returned, though a service runs until it is stopped")


async def report(bus: Bus, health: Health) -> NoReturn:
    """Keep the service's line in the `status` bucket: at once on a change, else often enough to stay true."""
    key = SERVICE_STATUS.key(health.service, health.replica)
    changed = asyncio.Event()
    health.on_change(lambda _: changed.set())
    lines = bus.status()
    try:
        while True:
            changed.clear()
            with courtesy(key):
                await lines.put(key, health.status)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFRESH_S):
                    await changed.wait()
    finally:
        with courtesy(key), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await lines.delete(key)


def first_reason(error: BaseException) -> BaseException:
    """The first real error in nested groups: what an operator should read first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
