"""How every app of the demo lives as a process: where it listens, how it logs, how it ends.

Separate because it is the only place that reads the platform's variables. It knows no app.
"""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any, NamedTuple


class Address(NamedTuple):
    """Where an app listens."""

    host: str
    port: int


def listen_address(port: int, environ: Mapping[str, str] = os.environ) -> Address:
    """Return where to listen for what the manifest calls container port `port`.

    A pod with an address of its own listens on the wildcard, so that its sidecar, which dials 127.0.0.1,
    and `kubectl port-forward` reach it. A workload that runs as a local process shares the machine's
    loopback with its neighbours: its POD_IP is a loopback address, and it must take that one alone.
    `BIND_HOST` (or the platform's `OSM_BIND_HOST`) overrides both; `OSM_BIND_PORT_<port>` moves the port.
    """
    host = environ.get("BIND_HOST") or environ.get("OSM_BIND_HOST")
    if not host:
        pod_ip = environ.get("POD_IP", "")
        host = pod_ip if _is_loopback(pod_ip) else "0.0.0.0"
    return Address(host, int(environ.get(f"OSM_BIND_PORT_{port}") or port))


def given(value: str | None, default: str) -> str:
    """Return a variable's value, or `default` if it is absent or still reads `$(SOME_VARIABLE)`.

    Kubernetes leaves a `$(…)` that names no known variable as it is, so one manifest can use a variable
    that only some platforms set.
    """
    return default if not value or value.startswith("$(") else value


def run(name: str, serve: Coroutine[object, object, None]) -> None:
    """Run an app until it is told to end; SIGTERM and SIGINT end it at once, with exit code 0.

    The handlers are needed: as process 1 of a container, SIGTERM would otherwise be ignored.
    """
    logging.basicConfig(format=f"%(asctime)s {name}: %(message)s", level=logging.WARNING, stream=sys.stdout)
    for ours in ("demo", "__main__"):
        logging.getLogger(ours).setLevel(logging.INFO)
    failures: list[str] = []
    try:
        with asyncio.Runner() as runner, contextlib.suppress(asyncio.CancelledError):
            runner.run(_until_signalled(serve))
    except* OSError as group:  # an address that is taken is the user's to see in one line
        failures = [str(error) for error in _leaves(group)]
    if failures:
        sys.exit(f"{name}: {'; '.join(failures)}")


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


async def _until_signalled(serve: Coroutine[object, object, None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_report_unless_cancelled)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await serve


def _report_unless_cancelled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Report a stray failure, except that a connection was cancelled because the app ends.

    Python 3.11's streams report that as an error, with a stack trace for each connection.
    """
    if not isinstance(context.get("exception"), asyncio.CancelledError):
        loop.default_exception_handler(context)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
