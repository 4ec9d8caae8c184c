import asyncio
import os
import signal
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from osm.contracts.endpoints import Explicit, LocalWorkload
from osm.contracts.names import Address, Identity, ObjectRef
from services.local.agent import Agent
from services.local.environment import inherited
from services.local.placement import OnMachine
from services.local.plan_types import Planned, Program
from services.local.supervise import Backoff
from services.local.workload_lifecycle import WorkloadLifecycle
from services.local.workload_reports import WorkloadReports

SHOP = ObjectRef("Deployment", "town", "shop")


class FakeSidecar:
    """A sidecar without an Envoy: live when the test says so."""

    def __init__(self, *, live=True):
        self.live = asyncio.Event()
        self.why = "" if live else "waiting"
        self.pid = None
        self.outdated = False
        self.settled = asyncio.Event()
        self.settled.set()
        self.took_over = False
        self.stopped = False
        self._changed = lambda: None
        self.ended = False
        if live:
            self.live.set()

    async def run(self, changed):
        self._changed = changed
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True

    def take_over(self):
        self.took_over = True

    async def stop(self):
        self.stopped = True

    def become(self, *, live):
        if live:
            self.live.set()
        else:
            self.live.clear()
        self._changed()


def planned(name="shop-0", script="sleep 600", owner=SHOP):
    program = Program(
        name="app", argv=("sh", "-c", script), own=(), platform=(), listens=(), check=None, field="spec.containers[0]"
    )
    document = LocalWorkload(
        id=f"{name}.town",
        identity=Identity("town", "shop"),
        interception=Explicit(http_proxy=Address("127.9.0.3", 15001), outbound_host="127.9.0.3"),
    )
    return Planned(ref=owner, document=document, programs=(program,), grace_s=20)


class Town:
    """An agent with fake sidecars, and a publisher that keeps what it saw."""

    def __init__(self, folder, *, live=True):
        self.board = WorkloadReports()
        self.history = []
        self.witness = lambda: None
        self.witnessed = []
        self.sidecars = []
        self._folder = folder
        self._live = live
        self._seen = asyncio.Condition()
        self.agent = Agent(self._begin, self.board)
        self.board.on_put(self.agent.stir)

    def _begin(self, what):
        self.sidecars.append(FakeSidecar(live=self._live))
        return WorkloadLifecycle(
            what,
            self.sidecars[-1],
            self.board,
            folder=self._folder / what.id,
            inherited=inherited(os.environ, str(Path(sys.executable).parent)),
            placement=OnMachine(),
            drain_s=0,
            backoff=Backoff(first_s=0.01),
        )

    async def publish(self):
        while True:
            number = await self.board.change()
            async with self._seen:
                self.witnessed.append(self.witness())
                self.history.append(
                    {
                        id_: (report.document.ready, report.status.state, report.status.app_pid)
                        for id_, report in self.board.reports.items()
                    }
                )
                self._seen.notify_all()
            await self.board.done(number)

    async def until(self, condition):
        async with asyncio.timeout(30), self._seen:
            await self._seen.wait_for(lambda: bool(self.history) and condition(self.history[-1]))


@asynccontextmanager
async def town(folder, **options):
    here = Town(folder, **options)
    tasks = [asyncio.create_task(here.agent.run()), asyncio.create_task(here.publish())]
    try:
        yield here
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for task in tasks:
            assert task.cancelled(), task.exception()


def want(*workloads):
    return {each.id: each for each in workloads}


def ready(*ids):
    return lambda seen: {id_ for id_, (is_ready, _, _) in seen.items() if is_ready} == set(ids)


async def test_a_workload_runs_and_is_ready(tmp_path):
    async with town(tmp_path) as here:
        here.agent.want(want(planned()))
        await here.until(ready("shop-0.town"))


async def test_a_program_starts_only_when_its_sidecar_is_live(tmp_path):
    async with town(tmp_path, live=False) as here:
        here.agent.want(want(planned()))
        await here.until(lambda seen: seen.get("shop-0.town") == (False, "starting", None))
        here.sidecars[0].become(live=True)
        await here.until(ready("shop-0.town"))


async def test_a_workload_whose_sidecar_fails_is_not_ready_and_its_program_goes_on(tmp_path):
    async with town(tmp_path) as here:
        here.agent.want(want(planned()))
        await here.until(ready("shop-0.town"))
        pid = here.history[-1]["shop-0.town"][2]
        here.sidecars[0].become(live=False)
        await here.until(lambda seen: seen["shop-0.town"] == (False, "unready", pid))


async def test_a_crash_takes_the_endpoint_away_at_once(tmp_path):
    async with town(tmp_path) as here:
        here.agent.want(want(planned()))
        await here.until(ready("shop-0.town"))
        os.kill(here.history[-1]["shop-0.town"][2], signal.SIGKILL)
        await here.until(ready())
        await here.until(ready("shop-0.town"))


async def test_the_endpoint_is_published_as_gone_before_the_process_is_told_to_end(tmp_path):
    trapped, ended = tmp_path / "trapped", tmp_path / "ended"
    script = f"trap 'touch {ended}; exit 0' TERM; touch {trapped}; while true; do sleep 0.05; done"
    async with town(tmp_path) as here:
        here.witness = ended.exists
        here.agent.want(want(planned(script=script)))
        await here.until(ready("shop-0.town"))
        async with asyncio.timeout(30):
            while not trapped.exists():
                await asyncio.sleep(0.01)
        begun = len(here.history)
        here.agent.want({})
        await here.until(lambda seen: seen == {})
        first_seen_unready = next(
            index for index in range(begun, len(here.history)) if not here.history[index]["shop-0.town"][0]
        )
        assert here.witnessed[first_seen_unready] is False
        assert ended.exists()
        assert here.sidecars[0].stopped
        assert here.sidecars[0].ended


async def test_a_changed_template_replaces_replicas_one_by_one(tmp_path):
    ids = [f"shop-{number}" for number in range(3)]
    async with town(tmp_path) as here:
        here.agent.want(want(*(planned(id_) for id_ in ids)))
        await here.until(ready(*(f"{id_}.town" for id_ in ids)))
        old = {pid for _, _, pid in here.history[-1].values()}
        begun = len(here.history)
        here.agent.want(want(*(planned(id_, "sleep 601") for id_ in ids)))
        await here.until(
            lambda seen: len(seen) == 3 and all(is_ready and pid not in old for is_ready, _, pid in seen.values())
        )
        ready_at_a_time = [sum(is_ready for is_ready, _, _ in seen.values()) for seen in here.history[begun:]]
        assert min(ready_at_a_time) == 2
        assert all(len(seen) == 3 for seen in here.history[begun:])


async def test_nothing_runs_on_when_the_agent_ends(tmp_path):
    async with town(tmp_path) as here:
        here.agent.want(want(planned("shop-0"), planned("shop-1")))
        await here.until(ready("shop-0.town", "shop-1.town"))
        pids = [pid for _, _, pid in here.history[-1].values()]
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_what_the_platform_tells_of_upstreams_does_not_replace_a_process():
    before = planned()
    (program,) = before.programs
    told = msgspec.structs.replace(program, platform=(("OSM_UPSTREAM_TOWN_DEPOT_80", "127.9.0.3:20000"),))
    changed = msgspec.structs.replace(program, own=(("A", "1"),))
    assert msgspec.structs.replace(before, programs=(told,)).fingerprint == before.fingerprint
    assert msgspec.structs.replace(before, programs=(changed,)).fingerprint != before.fingerprint
