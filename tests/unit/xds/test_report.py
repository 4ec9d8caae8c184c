import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
from msgspec import structs

from osm.bus import StatusWriter
from osm.bus.documents import MAX_BYTES
from osm.bus.memory import MemoryCore
from osm.contracts.channels import OBJECT_STATUS, PROXY_STATUS
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import ObjectStatus, ProxyStatus, Rejection, RolloutStatus
from services.xds import report
from services.xds.overview import Overview
from services.xds.report import Reporter

BUYER = ProxyStatus(
    proxy_id="bookbuyer-0.bookbuyer", identity=Identity("bookbuyer", "bookbuyer"), replica="x", connected_at_s=1.0
)


class FakeOverview:
    """Proxies whose lines a test sets."""

    def __init__(self) -> None:
        self.lines: dict[str, ProxyStatus] = {}
        self.late: tuple[str, ...] = ()
        self.batch = 1
        self.acked = 0
        self.spread: tuple[RolloutStatus, ...] = ()
        self.words: dict[ObjectRef, ObjectStatus] = {}

    @property
    def size(self) -> int:
        return len(self.lines)

    def acked_revision(self) -> int:
        return self.acked

    def behind(self, most: int) -> tuple[str, ...]:
        return self.late[:most]

    @property
    def is_behind(self) -> bool:
        return bool(self.late)

    def owing(self) -> dict[str, int]:
        return dict.fromkeys(self.late, self.batch)

    def rollouts(self) -> tuple[RolloutStatus, ...]:
        return self.spread

    def words_on_objects(self) -> dict[ObjectRef, ObjectStatus]:
        return self.words

    def status_of(self, proxy_id: str) -> ProxyStatus | None:
        line = self.lines.get(proxy_id)
        if line is None or proxy_id not in self.late:
            return line
        return ProxyStatus(
            proxy_id=line.proxy_id,
            identity=line.identity,
            replica=line.replica,
            connected_at_s=line.connected_at_s,
            state="waiting",
        )


class Told:
    """A reporter at work, and what it has put."""

    def __init__(self, core: MemoryCore, reporter: Reporter, overview: FakeOverview) -> None:
        self.core = core
        self.reporter = reporter
        self.overview = overview
        self.key = PROXY_STATUS.key(BUYER.proxy_id)

    async def settles(self) -> bytes | None:
        """The buyer's line after the reporter has had its turn."""
        for _ in range(5):
            await asyncio.sleep(report.PROGRESS_GAP_S)
        return self.core.buckets["status"].bodies.get(self.key)


@pytest.fixture
async def told(monkeypatch: pytest.MonkeyPatch):  # an async generator fixture
    monkeypatch.setattr(report, "PROGRESS_GAP_S", 0.001)
    core, overview = MemoryCore(), FakeOverview()
    reporter = Reporter(core.bus("xds").status(), "xds", "x")
    running = asyncio.ensure_future(reporter.run(cast(Overview, overview)))
    yield Told(core, reporter, overview)
    assert not running.done(), "it is still at work"
    running.cancel()


async def test_a_proxy_that_connects_is_told_at_once(told: Told) -> None:
    told.overview.lines[BUYER.proxy_id] = BUYER
    told.reporter.touch(BUYER.proxy_id)
    assert await told.settles() is not None


async def test_waiting_for_a_moment_is_no_news(told: Told) -> None:
    told.overview.lines[BUYER.proxy_id] = BUYER
    told.reporter.touch(BUYER.proxy_id)
    before = await told.settles()
    told.overview.late = (BUYER.proxy_id,)
    told.reporter.touch(BUYER.proxy_id)
    assert await told.settles() == before


async def test_waiting_for_long_is_told_with_since_when(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SLOW_S", 0.0)
    told.overview.lines[BUYER.proxy_id] = BUYER
    told.reporter.touch(BUYER.proxy_id)
    before = await told.settles()
    told.overview.late = (BUYER.proxy_id,)
    told.reporter.touch()  # a change has gone out, and nothing comes back
    line = await told.settles()
    assert line is not None
    assert b'"state":"waiting"' in line
    assert b"behind_since_s" in line
    monkeypatch.setattr(report, "SLOW_S", 3600.0)  # it is said at once, not at the next look for who is slow
    told.overview.late = ()
    told.reporter.touch()
    assert await told.settles() == before


async def test_who_answers_one_change_after_the_other_is_not_waiting(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "SLOW_S", 0.05)
    told.overview.lines[BUYER.proxy_id] = BUYER
    told.reporter.touch(BUYER.proxy_id)
    before = await told.settles()
    told.overview.late = (BUYER.proxy_id,)
    for _ in range(100):
        told.overview.batch += 1
        told.reporter.touch()
        await asyncio.sleep(0.002)
    assert await told.settles() == before


async def test_a_rejection_is_told_at_once(told: Told) -> None:
    rejection = Rejection(type_url="t", resources=("r",), reason="Envoy does not like it")
    told.overview.lines[BUYER.proxy_id] = ProxyStatus(
        proxy_id=BUYER.proxy_id,
        identity=BUYER.identity,
        replica="x",
        connected_at_s=1.0,
        state="rejected",
        rejections=(rejection,),
    )
    told.reporter.touch(BUYER.proxy_id)
    line = await told.settles()
    assert line is not None
    assert b"Envoy does not like it" in line


async def test_the_line_of_a_proxy_that_left_is_taken_away(told: Told) -> None:
    told.overview.lines[BUYER.proxy_id] = BUYER
    told.reporter.touch(BUYER.proxy_id)
    assert await told.settles() is not None
    del told.overview.lines[BUYER.proxy_id]
    told.reporter.touch(BUYER.proxy_id)
    assert await told.settles() is None


async def test_progress_is_told_when_it_moves(told: Told) -> None:
    told.overview.acked = 7
    told.reporter.touch()
    await told.settles()
    (line,) = (body for key, body in told.core.buckets["status"].bodies.items() if key.startswith("progress.xds"))
    assert b'"output":7' in line


async def test_a_rejected_object_is_told_of_until_the_rejection_is_lifted(told: Told) -> None:
    target = ObjectRef("TrafficTarget", "bookstore", "bookstore")
    problem = Problem(subject=target, field="spec.rules", what="Envoy rejects it")
    told.overview.words = {target: ObjectStatus(subject=target, problems=(problem,))}
    told.reporter.touch()
    await told.settles()
    key = OBJECT_STATUS.key("xds", "TrafficTarget", "bookstore", "bookstore")
    assert b"Envoy rejects it" in told.core.buckets["status"].bodies[key]
    told.overview.words = {}
    told.reporter.touch()
    await told.settles()
    assert key not in told.core.buckets["status"].bodies


async def test_where_a_canary_stands_is_told_with_the_progress(told: Told) -> None:
    told.overview.spread = (
        RolloutStatus(identity=BUYER.identity, state="canary", proxies=3, live=0, canaries=(BUYER.proxy_id,)),
    )
    told.reporter.touch()
    await told.settles()
    (line,) = (body for key, body in told.core.buckets["status"].bodies.items() if key.startswith("progress.xds"))
    assert b'"state":"canary"' in line


async def test_a_line_too_large_for_the_bus_keeps_the_others_waiting_for_nothing(told: Told) -> None:
    huge = Rejection(type_url="t", resources=("r",), reason="x" * MAX_BYTES)
    told.overview.lines["another.proxy"] = structs.replace(BUYER, proxy_id="another.proxy", rejections=(huge,))
    told.overview.lines[BUYER.proxy_id] = BUYER
    told.reporter.touch("another.proxy")
    told.reporter.touch(BUYER.proxy_id)
    assert await told.settles() is not None
    assert PROXY_STATUS.key("another.proxy") not in told.core.buckets["status"].bodies


TARGET = ObjectRef("TrafficTarget", "shop", "web")
REJECTED = Problem(subject=TARGET, field="spec", what="Envoy rejects it")


class Noted:
    """A status writer that keeps what it is told, in order."""

    def __init__(self) -> None:
        self.said: list[str] = []

    async def put(self, key: str, value: object) -> None:
        del value
        self.said.append(key.partition(".")[0])

    async def delete(self, key: str) -> None:
        self.said.append(f"-{key.partition('.')[0]}")


@pytest.fixture
async def noted(monkeypatch: pytest.MonkeyPatch):  # an async generator fixture
    monkeypatch.setattr(report, "PROGRESS_GAP_S", 0.001)
    status, overview = Noted(), FakeOverview()
    reporter = Reporter(cast(StatusWriter, status), "xds", "x")
    running = asyncio.ensure_future(reporter.run(cast(Overview, overview)))

    async def look() -> list[str]:
        """What is said of what has happened since the last look."""
        status.said.clear()
        reporter.touch(BUYER.proxy_id)
        for _ in range(5):
            await asyncio.sleep(report.PROGRESS_GAP_S)
        return list(status.said)

    yield overview, look
    assert not running.done(), "it is still at work"
    running.cancel()


Looked = tuple[FakeOverview, Callable[[], Awaitable[list[str]]]]


async def test_who_reads_that_all_have_answered_has_read_who_said_no(noted: Looked) -> None:
    overview, look = noted
    overview.words = {TARGET: ObjectStatus(subject=TARGET, problems=(REJECTED,))}
    overview.lines[BUYER.proxy_id] = BUYER
    overview.acked = 7
    assert await look() == ["object", "proxy", "progress"]


async def test_what_has_been_said_is_not_said_again(noted: Looked) -> None:
    overview, look = noted
    overview.words = {TARGET: ObjectStatus(subject=TARGET, problems=(REJECTED,))}
    overview.lines[BUYER.proxy_id] = BUYER
    await look()
    assert await look() == []


async def test_on_how_many_proxies_a_change_is_live_is_said_now_and_then(
    noted: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    overview, look = noted
    line = RolloutStatus(identity=BUYER.identity, state="spreading", proxies=3, live=1)
    overview.spread = (line,)
    assert "progress" in await look()
    overview.spread = (structs.replace(line, live=2),)
    monkeypatch.setattr(report, "SPREAD_GAP_S", 3600.0)
    assert "progress" not in await look()
    monkeypatch.setattr(report, "SPREAD_GAP_S", 0.0)
    assert "progress" in await look()
