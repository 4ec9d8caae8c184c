"""A running mesh seen and changed from outside: what its services report, and requests through its sidecars."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TypeVar

from osm.bus import Bus
from osm.bus.connect import connect
from osm.cli.demo.mesh_status import MeshStatus, TooSlow
from osm.cli.problem_lines import object_problems
from osm.contracts.channels import FILE_STATUS, OBJECT_STATUS
from osm.contracts.problem import Problem
from osm.testing.mesh import MeshProcess
from osm.testing.wire_http import Answer, through

T = TypeVar("T")

PATIENCE_S = 60.0
ASK_EVERY_S = 0.02


class Outside:
    """What a test does with a mesh. Open it with `outside`."""

    def __init__(self, mesh: MeshProcess, bus: Bus, board: MeshStatus) -> None:
        self.mesh = mesh
        self.bus = bus
        self.board = board

    async def get(
        self, client: str, url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request through a workload's sidecar. `client` is an id such as `web-0.front`."""
        return await through(self.board.processes()[client].http_proxy, url, method=method, headers=headers)

    async def status(self, client: str, url: str, *, method: str = "GET", **headers: str) -> int:
        """The answer's status; headers with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return (await self.get(client, url, method=method, headers=sent)).status

    def problems(self) -> list[Problem]:
        """As `osm status` shows them."""
        return object_problems(self.board.lines(OBJECT_STATUS), self.board.lines(FILE_STATUS))

    async def problem(self, *words: str) -> Problem:
        """Wait for a problem whose sentence has all these words."""

        def found() -> list[Problem]:
            return [each for each in self.problems() if all(word in str(each) for word in words)]

        try:
            await self.board.until(found, "a problem", PATIENCE_S)
        except TooSlow as error:
            raise AssertionError(f"no problem with {words}; there are {[*map(str, self.problems())]}") from error
        return found()[0]

    async def no_problem(self) -> None:
        """Wait until nobody reports any."""
        await self.board.until(lambda: not self.problems(), "no problem", PATIENCE_S)

    @asynccontextmanager
    async def policies(self, *texts: str, file: str = "policies.yaml") -> AsyncIterator[None]:
        """These manifests in force inside the block, at all proxies; taken back after it."""
        await self.change(lambda: self.mesh.put(file, "---\n".join(texts)))
        try:
            yield
        finally:
            await self.change(lambda: self.mesh.remove(file))

    async def change(self, edit: Callable[[], None]) -> None:
        """Make an edit of policies that means something, and wait until every proxy has acknowledged it."""
        before = self.board.revision("meshspec")
        edit()
        await self.board.live("meshspec", before, PATIENCE_S)

    async def in_service(self, workloads: int) -> None:
        """Wait until so many workloads are ready and in sync, and no other is there."""
        await self.board.until(
            lambda: self.board.in_service(workloads) and len(self.board.processes()) == workloads,
            f"{workloads} workloads in service",
            PATIENCE_S,
        )


async def eventually(ask: Callable[[], Awaitable[T]], right: Callable[[T], bool], what: str = "") -> T:
    """Ask until the answer is right. Raises AssertionError with the last answer."""
    deadline_s = time.monotonic() + PATIENCE_S
    answer = await ask()
    while not right(answer):
        assert time.monotonic() < deadline_s, f"{what or 'expected answer'}: the last one was {answer}"
        await asyncio.sleep(ASK_EVERY_S)
        answer = await ask()
    return answer


@asynccontextmanager
async def outside(mesh: MeshProcess) -> AsyncIterator[Outside]:
    """Look at a mesh that answers on its socket."""
    async with connect(mesh.bus, "cli") as bus, asyncio.TaskGroup() as tasks:
        board = MeshStatus()
        following = tasks.create_task(board.run(bus))
        try:
            await board.until(lambda: board.revision("catalog"), "the mesh's first word", PATIENCE_S)
            yield Outside(mesh, bus, board)
        finally:
            following.cancel()
