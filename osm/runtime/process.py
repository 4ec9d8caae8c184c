"""A whole process: settings from the environment, everything observed, one service or many, and a clean end.

Exit codes: 0 asked to end and did; 1 a service failed (its name and reason are on stderr); 2 a wrong setting;
3 another replica has taken over what this one wrote: started again, it stands by.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, NoReturn, TypeVar

import structlog
import uvloop
from msgspec import structs

from osm.bus import BusError
from osm.bus.connect import connect
from osm.bus.nats_settings import NatsSettings
from osm.runtime import logging, metrics, tracing
from osm.runtime.allocator import use_one_arena
from osm.runtime.health import Health, installed_version, replica_name
from osm.runtime.http import serve_http
from osm.runtime.metrics import Metrics
from osm.runtime.service import Deposed, Run, ServiceFailed, first_reason, run_service
from osm.runtime.settings import BadSetting, Common, misspelt, read, read_service
from osm.runtime.tracing import Traces

END_WITHIN_S = 15.0
"""Between SIGTERM and an end by force; below the 30 s that kubelet and compose grant before SIGKILL."""

COLLECT_AFTER = (50_000, 20, 20)
"""Objects made and not yet freed before the cyclic collector looks at the youngest; then how many looks to each at
older ones. Its own defaults stop a process with a thousand streams for a quarter of its time, since each push in
flight is an object that outlives a look; reference counting frees nearly everything of ours without it."""

DEPOSED = 3
"""Apart from 1: it happens to a process that was paused or starved for longer than its lease, and mends itself."""

C = TypeVar("C", bound=Common)

log = structlog.get_logger()


class Observed:
    """What watches this process. One per process; `observed` makes it and takes it down."""

    def __init__(self, process: str, common: Common, replica: str, version: str) -> None:
        self.metrics = Metrics(process, replica, version)
        self.traces = Traces(process, replica, common.otlp_endpoint)


@contextlib.contextmanager
def observed(process: str, common: Common, *, version: str = "") -> Iterator[Observed]:
    """Logs, metrics and traces of the process for as long as it runs. Raises BadSetting."""
    logging.set_up(common.log_level)
    eyes = Observed(process, common, replica_name(common.replica), version or installed_version())
    metrics.install(eyes.metrics)
    tracing.install(eyes.traces)
    try:
        yield eyes
    finally:
        eyes.traces.close()
        eyes.metrics.close()


def serve(name: str, run: Run[C], settings_type: type[C]) -> NoReturn:
    """`python -m services.<name>`: never returns; ends the process with the exit code above."""
    end_as(name, lambda: _serve(name, run, settings_type))


def end_as(name: str, work: Callable[[], None]) -> NoReturn:
    """Do the whole work of this process and end it: with the exit code above, and the reason on stderr."""
    try:
        work()
    except BadSetting as error:
        sys.stderr.write(f"osm {name}: {error}\n")
        sys.exit(2)
    except BusError as error:
        sys.stderr.write(f"osm {name}: {error}\n")
        sys.exit(1)
    except ServiceFailed as error:
        sys.stderr.write(f"osm {error}\n")
        sys.exit(DEPOSED if isinstance(error, Deposed) else 1)
    sys.exit(0)


def _serve(name: str, run: Run[C], settings_type: type[C]) -> None:
    settings = read_service(settings_type, os.environ, name)
    nats = _seated(read(NatsSettings, os.environ, "OSM_NATS_"), settings.replica)
    _require_shared(settings.bus)
    health = Health.begin(name, settings.replica)
    with observed(name, settings, version=health.status.version) as eyes:
        for warning in misspelt(settings_type, os.environ, name):
            log.warning("unknown setting", why=warning)
        run_until_stopped(lambda: _alone(run, settings, nats, health, eyes))


def _require_shared(bus: str) -> None:
    if bus.startswith("memory:"):
        raise BadSetting(
            "OSM_BUS: found memory:, which reaches nobody from a process of its own (`osm up` runs all services "
            "in one); allowed here are nats://host:port and tls://host:port"
        )


def _seated(nats: NatsSettings, replica: str) -> NatsSettings:
    """A replica that was given a name has it alone, and may take up what its predecessor of that name held."""
    return nats if nats.seat else structs.replace(nats, seat=replica)


async def _alone(run: Run[C], settings: C, nats: NatsSettings, health: Health, eyes: Observed) -> None:
    health.starting("the bus")
    async with (
        serve_http(
            settings.http,
            [health],
            eyes.metrics.exposition,
            metrics_token_file=settings.metrics_token_file,
        ),
        connect(settings.bus, health.service, nats) as bus,
    ):
        await run_service(health.service, run, bus, settings, health)


def run_until_stopped(work: Callable[[], Awaitable[Any]]) -> None:
    """Run `work` on uvloop until it fails or SIGTERM or SIGINT cancels it. Raises what `work` raised, ungrouped.

    A second signal, or an end that takes longer than END_WITHIN_S, ends the process at once with code 1.
    """
    use_one_arena()
    collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_until_stopped(work))


def collect_seldom() -> None:
    """What was imported stays for good, so the collector need not look at it; and it looks less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _until_stopped(work: Callable[[], Awaitable[Any]]) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop(name: str) -> None:
        if stopped.is_set():
            os._exit(1)
        log.info("process ends", signal=name)
        stopped.set()
        _end_by_force_later()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number.name)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(_as_coroutine(work), name="work")
            await stopped.wait()
            running.cancel()
    except BaseExceptionGroup as group:
        raise first_reason(group) from None


async def _as_coroutine(work: Callable[[], Awaitable[Any]]) -> NoReturn:
    await work()
    raise ServiceFailed("process", "its work returned, though it runs until it is stopped")


def _end_by_force_later() -> None:
    """A thread, since a loop that is stuck would not run its own timer."""
    timer = threading.Timer(END_WITHIN_S, os._exit, args=(1,))
    timer.daemon = True
    timer.start()
