"""Runs a command's coroutine to its end, or until Ctrl-C, SIGTERM or a closed terminal, which cancel it.

Cancelled, not killed: a forwarded port, a password in a file, a mesh of processes are given back on the way out.
"""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvloop

from osm.runtime.service import first_reason

T = TypeVar("T")

INTERRUPTED = 130


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`. Raises SystemExit(130) if interrupted, else what `work` raised, out of its groups."""
    try:
        with ungrouped(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_cancellable(work))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except asyncio.CancelledError:
        raise SystemExit(INTERRUPTED) from None


@contextmanager
def ungrouped() -> Iterator[None]:
    """Raise the first real error of a task group as itself: what a person can read and code can catch."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise first_reason(group) from group


async def _cancellable(work: Coroutine[Any, Any, T]) -> T:
    me = asyncio.current_task()
    assert me is not None
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, me.cancel)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup(1) asks for
        loop.add_signal_handler(signal.SIGHUP, me.cancel)
    return await work
