"""The process that plays the proxies: so many streams, each on a connection of its own, as Envoys have.

python -m bench.clients FOLDER TARGET STREAMS
"""

import asyncio
import gc
import sys
import time
from pathlib import Path

import uvloop
from msgspec import Struct

from bench.child import answer_asks, say
from bench.passports import load
from bench.proxy import Proxy


class Configured(Struct, frozen=True, kw_only=True):
    """Every stream has all that it asked for. Monotonic seconds, the same clock in all processes."""

    began_s: float
    done_s: float


class Cpu(Struct, frozen=True, kw_only=True):
    """Processor time of the process so far, threads included."""

    cpu_s: float


async def run(folder: Path, target: str, streams: int) -> None:
    passports = load(folder)
    proxies = [Proxy(target, passport, passports) for passport in passports.proxies[:streams]]
    async with asyncio.TaskGroup() as tasks:
        began_s = time.monotonic()
        running = [tasks.create_task(proxy.run()) for proxy in proxies]
        for proxy in proxies:
            await proxy.configured.wait()
        say(Configured(began_s=began_s, done_s=time.monotonic()))
        await answer_asks({"cpu": _cpu})
        for task in running:
            task.cancel()


async def _cpu(_rounds: int) -> Cpu:
    return Cpu(cpu_s=time.process_time())


if __name__ == "__main__":
    gc.disable()  # an Envoy has no collector, and its pauses would be counted as ours
    uvloop.run(run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
