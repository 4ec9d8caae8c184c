"""The live terminal: keys in, edits of the manifests made, what came of them shown as it happens."""

import asyncio
import os
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import aiohttp
from msgspec import structs
from rich.live import Live
from rich.markup import escape

from osm.bus import BusError
from osm.cli.demo.manifest_copy import CannotEdit, Edit
from osm.cli.demo.mesh_status import TooSlow
from osm.cli.demo.shop import BUYER, STORES, THIEF, turned_away
from osm.cli.demo.stage import Stage
from osm.cli.demo.traffic import STATS, Reading, Window, read
from osm.cli.demo.view import Scene, draw
from osm.cli.find_mesh import program
from osm.cli.output import stdout
from osm.cli.problem_lines import object_problems
from osm.cli.run_async import ungrouped
from osm.contracts.channels import FILE_STATUS, OBJECT_STATUS

READ_EVERY_S = 1.0
"""Sidecars' counters: often enough to look alive, seldom enough to cost nothing."""

STORY_LINES = 16
"""What fits under the tables on a usual terminal."""

SPLIT = ("bookstore/bookstore-v1", "bookstore/bookstore-v2")
"""The backends of the split, in the order of the file."""


Wanted = Callable[[int], bool]
"""Whether a status is the one that is waited for."""


class Quit(Exception):
    """The user has seen enough."""


class LiveDemo:
    """The screen's state. `run` draws until the user quits."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._window = Window()
        self._story: list[str] = []
        self._started_s = time.monotonic()
        self._keys: asyncio.Queue[str] = asyncio.Queue()

    async def run(self) -> None:
        """Draw, read counters and obey keys. Ends when the user quits."""
        with (
            _raw_keys(self._keys),
            Live(console=stdout, auto_refresh=False, screen=True) as screen,
            suppress(Quit),
            ungrouped(),
        ):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read_counters(), name="counters")
                tasks.create_task(self._draw(screen), name="screen")
                tasks.create_task(self._obey(), name="keys")

    async def _draw(self, screen: Live) -> NoReturn:
        while True:
            screen.update(draw(self._scene()), refresh=True)
            await asyncio.sleep(0.2)

    async def _read_counters(self) -> NoReturn:
        while True:
            pages = {}
            for workload in self._stage.board.processes():
                try:
                    pages[workload] = await self._stage.shop.stats(workload, STATS)
                except BusError:
                    continue  # a sidecar that is being replaced has no counters
            self._window.add(await self._with_refusals(read(time.monotonic(), pages)))
            await asyncio.sleep(READ_EVERY_S)

    async def _with_refusals(self, reading: Reading) -> Reading:
        """Where traffic is redirected no sidecar counts a connection that it does not take; the thief itself does."""
        if not self._stage.isolated:
            return reading
        try:
            count = await self._stage.shop.refused(THIEF)
        except (aiohttp.ClientError, OSError, LookupError):
            return reading  # it is being started
        return structs.replace(reading, refused={**reading.refused, THIEF: count})

    async def _obey(self) -> NoReturn:
        actions = {"t": self._thief, "s": self._split, "p": self._permissive, "k": self._kill}
        while True:
            key = await self._keys.get()
            if key in ("q", "\x03", "\x04"):
                raise Quit
            action = actions.get(key)
            if action is None:
                continue
            try:
                await action()
            except (CannotEdit, TooSlow, BusError, aiohttp.ClientError, OSError, LookupError) as error:
                self._say(f"[red]{escape(str(error))}[/]")

    async def _thief(self) -> None:
        edit = self._stage.workshop.toggle_thief()
        await self._change(edit, THIEF, wanted=_is_served if edit.after is not None else turned_away)

    async def _permissive(self) -> None:
        wanted = _is_served if not self._stage.workshop.is_permissive() else None
        await self._change(self._stage.workshop.toggle_permissive(), THIEF, wanted=wanted)

    async def _split(self) -> None:
        await self._change(self._stage.workshop.next_split(), BUYER, wanted=None)

    async def _kill(self) -> None:
        """Kill a bookstore's app, hard: its endpoint leaves the mesh, calls go to the other, it comes back."""
        victim = STORES[0]
        process = self._stage.board.processes().get(victim)
        if process is None or process.app_pid is None:
            self._say(f"[yellow]{victim} is not running[/]")
            return
        self._story.clear()
        before, started_s = self._stage.board.revision("endpoints"), time.time()
        os.kill(process.app_pid, signal.SIGKILL)
        self._say(f"[bold]kill -9 {process.app_pid}[/] ({victim})")
        live = await self._stage.board.live("endpoints", before)
        milliseconds = (live.at_s - started_s) * 1000
        self._say(f"gone from {live.proxies} of {live.proxies} proxies in [bold]{milliseconds:.0f} ms[/]")
        await self._stage.board.until(lambda: self._is_ready(victim), f"{victim} to come back", 30.0)
        self._say(f"back after {time.time() - started_s:.1f} s")

    def _is_ready(self, workload: str) -> bool:
        process = self._stage.board.processes().get(workload)
        return process is not None and process.state == "ready"

    async def _change(self, edit: Edit, workload: str, *, wanted: Wanted | None) -> None:
        """Make an edit and tell its story: the diff, when it is live, the first answer that shows it."""
        self._story.clear()
        for line in edit.diff().splitlines():
            colour = {"+": "green", "-": "red"}.get(line[:1], "dim")
            self._say(f"[{colour}]{escape(line)}[/]")
        change = await self._stage.make(edit)
        self._window.restart()
        self._say(f"live on {change.proxies} of {change.proxies} proxies in [bold]{change.acknowledged_ms:.0f} ms[/]")
        status, store = await self._first_answer(workload, wanted)
        self._say(
            f"first answer to {workload}: [bold]{status or 'no connection'}[/]{f' from {store}' if store else ''}"
        )

    async def _first_answer(self, workload: str, wanted: Wanted | None) -> tuple[int, str]:
        if wanted is not None:
            await self._stage.shop.first_answer(workload, wanted)
        return await self._stage.shop.ask_through(workload)

    def _say(self, line: str) -> None:
        self._story = [*self._story, line][-STORY_LINES:]

    def _scene(self) -> Scene:
        board, workshop = self._stage.board, self._stage.workshop
        try:
            weights = workshop.weights()
            permissive = workshop.is_permissive()
        except (CannotEdit, OSError):
            weights, permissive = (), False
        return Scene(
            folder=str(workshop.folder),
            up_s=time.monotonic() - self._started_s,
            permissive=permissive,
            proxies=board.proxies(),
            processes=board.processes(),
            rates=self._window.rates(),
            asked=dict(zip(SPLIT, weights, strict=False)),
            observed=self._window.shares(SPLIT),
            turned_away=self._window.turned_away(),
            problems=object_problems(board.lines(OBJECT_STATUS), board.lines(FILE_STATUS)),
            story=self._story,
            hints=(
                f"edit by hand: {workshop.folder}",
                f"look inside:  {program()} status    {program()} proxy get clusters {BUYER}    {program()} bus watch",
            ),
        )


def _is_served(status: int) -> bool:
    return status == 200


@contextmanager
def _raw_keys(keys: asyncio.Queue[str]) -> Iterator[None]:
    """Each key as it is pressed, unechoed; the terminal as it was afterwards."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    loop = asyncio.get_running_loop()
    tty.setcbreak(descriptor)

    def pressed() -> None:
        for key in os.read(descriptor, 64).decode("utf-8", "ignore"):
            keys.put_nowait(key)

    loop.add_reader(descriptor, pressed)
    try:
        yield
    finally:
        loop.remove_reader(descriptor)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
