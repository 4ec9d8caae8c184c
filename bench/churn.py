"""The process whose proxies come, go and stall, by a seeded dice.

    python -m bench.churn FOLDER TARGET SEED

Told to `scatter`, each proxy of the folder is connected for a while, away for a while, and so on; one visit in
eight it asks for everything and reads nothing. Told to `gather`, all leave.
"""

import asyncio
import gc
import random
import sys
from pathlib import Path

from grpc import aio
from msgspec import Struct

from bench.child import answer_asks, say
from bench.client_certificates import Passport, Passports, load
from bench.misbehaving_proxy import connected
from bench.proxy import Proxy

STAY_S, AWAY_S = (0.5, 6.0), (0.0, 1.0)
STALLS_ONE_IN = 8


class Visits(Struct, frozen=True, kw_only=True):
    """So far."""

    visits: int
    stalls: int
    broken: int
    """Ended by the server, as a stalled one may be."""


class Churn:
    """All proxies, connected or not."""

    def __init__(self, target: str, passports: Passports, seed: str) -> None:
        self._target = target
        self._passports = passports
        self._dice = random.Random(seed)
        self._tasks: list[asyncio.Task[None]] = []
        self._visits = self._stalls = self._broken = 0

    async def scatter(self, _rounds: int) -> Visits:
        self._tasks = [asyncio.create_task(self._come_and_go(each)) for each in self._passports.proxies]
        return self.told()

    async def gather(self, _rounds: int) -> Visits:
        for task in self._tasks:
            task.cancel()
        ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        faults = [each for each in ended if not isinstance(each, asyncio.CancelledError)]
        if faults:  # less churn would look like calm
            raise RuntimeError(f"{len(faults)} proxies of the churn ended by themselves") from faults[0]
        gc.collect()  # a cancelled call is part of a cycle, and until that is found its connection stays open
        return self.told()

    async def _come_and_go(self, passport: Passport) -> None:
        """Endless."""
        while True:
            await asyncio.sleep(self._dice.uniform(*AWAY_S))
            self._visits += 1
            try:
                async with asyncio.timeout(self._dice.uniform(*STAY_S)):
                    await self._visit(passport)
            except TimeoutError:
                continue  # it has stayed for long enough
            except aio.AioRpcError:
                self._broken += 1

    async def _visit(self, passport: Passport) -> None:
        if self._dice.randrange(STALLS_ONE_IN):
            await Proxy(self._target, passport, self._passports).run()
            return
        self._stalls += 1
        async with connected(self._target, passport, self._passports):
            await asyncio.sleep(STAY_S[1])

    def told(self) -> Visits:
        return Visits(visits=self._visits, stalls=self._stalls, broken=self._broken)


async def run(folder: Path, target: str, seed: str) -> None:
    churn = Churn(target, load(folder), seed)
    say(churn.told())
    await answer_asks({"scatter": churn.scatter, "gather": churn.gather})


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
