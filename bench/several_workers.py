"""Several xds workers on one port over a real NATS: the same changes as `bench.plan` makes, made one by one.

    python -m bench.several_workers [--workers 2] [--streams 1000 5000]

A change is over when the last worker's last proxy has answered; all clocks are the machine's one monotonic clock.
The processor time of certmgr and catalog is in it, as in a single process; that of nats-server is not.
"""

import argparse
import asyncio
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from bench.child import Child, child
from bench.feed import Written
from bench.mesh import PAUSE_S, WARM_UP, Samples, Serving, free_address
from bench.programs import required
from bench.proxies import Configured, Cpu
from bench.result import Series, WorkersRun, missed_by_crew, series
from bench.rounds import KB, SETTLE_S, Rounds
from bench.table import show_crews
from bench.worker import Worked
from osm.bus.nats_keys import make_keys
from osm.testing.nats_server import nats_server

STREAMS = (1000, 5000)
ROUNDS = Rounds(endpoints=60, policies=20)


class Crew:
    """The feed, the workers and the clients of one run."""

    def __init__(self, feed: Child, workers: tuple[Child, ...], clients: Child) -> None:
        self._feed = feed
        self._workers = workers
        self._clients = clients
        self._made: Counter[str] = Counter()

    async def now(self) -> tuple[Worked, ...]:
        return tuple([await worker.ask(Worked, "now") for worker in self._workers])

    async def series(self, what: str, rounds: int) -> Series:
        for _ in range(WARM_UP):
            await self._change(what)
        clients, cpu_s, before = await self._clients.ask(Cpu, "cpu"), await self._cpu_s(), await self.now()
        given, answered = [], []
        for _ in range(rounds):
            began_s, workers = await self._change(what)
            given.append(max(one.given_s for one in workers) - began_s)
            answered.append(max(one.answered_s for one in workers) - began_s)
            await asyncio.sleep(PAUSE_S)
        after = await self.now()
        samples = Samples(
            given_s=tuple(given),
            answered_s=tuple(answered),
            pushes=sum(one.pushes for one in after) - sum(one.pushes for one in before),
            bytes=sum(one.bytes for one in after) - sum(one.bytes for one in before),
            cpu_s=await self._cpu_s() - cpu_s,
            rss_bytes=sum(one.rss_bytes for one in after),
        )
        return series(what, samples, (await self._clients.ask(Cpu, "cpu")).cpu_s - clients.cpu_s)

    async def _change(self, what: str) -> tuple[float, tuple[Worked, ...]]:
        """Raises RuntimeError if the change was not alone."""
        self._made[what] += 1
        before = await self.now()
        written = await self._feed.ask(Written, what, self._made[what])
        after = [
            await worker.ask(Worked, "after", one.batch) for worker, one in zip(self._workers, before, strict=True)
        ]
        for earlier, later in zip(before, after, strict=True):
            if later.batch != earlier.batch + 1:
                raise RuntimeError(f"one change became {later.batch - earlier.batch} batches: it was not alone")
        return written.began_s, tuple(after)

    async def _cpu_s(self) -> float:
        return (await self._feed.ask(Written, "now")).cpu_s + sum(one.cpu_s for one in await self.now())


async def run(proxies: Path, streams: int, workers: int, rounds: Rounds) -> WorkersRun:
    """`proxies` is the program that plays them. Raises NoServer, ChildFailed, TimeoutError."""
    async with AsyncExitStack() as held:
        folder = Path(held.enter_context(TemporaryDirectory(prefix="osm-bench-")))
        (folder / "keys").mkdir()
        make_keys(folder / "keys")
        url, listen = (await held.enter_async_context(nats_server())).url, free_address()
        feed = await held.enter_async_context(child("bench.feed", folder, url, streams))
        await feed.answer(Written)
        crew = [
            await held.enter_async_context(child("bench.worker", folder, url, listen, number))
            for number in range(workers)
        ]
        empty = [(await worker.answer(Serving)).rss_bytes for worker in crew]
        clients = await held.enter_async_context(child(proxies, folder, listen, streams))
        configured = await clients.answer(Configured)
        await asyncio.sleep(SETTLE_S)
        at_work = Crew(feed, tuple(crew), clients)
        connected = await at_work.now()
        moved = await at_work.series("move endpoint", rounds.endpoints)
        edited = await at_work.series("edit policy", rounds.policies)
        in_the_end = await at_work.now()
    return WorkersRun(
        workers=workers,
        streams=streams,
        first_config_s=max(configured.done_s, *(one.answered_s for one in connected)) - configured.began_s,
        kb_per_proxy=(sum(one.rss_bytes for one in connected) - sum(empty)) / streams / KB,
        kb_per_proxy_after=(sum(one.rss_bytes for one in in_the_end) - sum(empty)) / streams / KB,
        move_endpoint=moved,
        edit_policy=edited,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.several_workers", description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--streams", type=int, nargs="+", default=list(STREAMS), metavar="N")
    parser.add_argument("--rounds", type=int, default=ROUNDS.endpoints, help="changes of an endpoint")
    asked = parser.parse_args()
    rounds = Rounds(endpoints=asked.rounds, policies=ROUNDS.policies)
    proxies = required("proxies")
    runs = tuple(asyncio.run(run(proxies, streams, asked.workers, rounds)) for streams in asked.streams)
    show_crews(runs, Console(width=140))
    return 1 if any(missed_by_crew(one) for one in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
