"""What xds says of its proxies, to `status`: throttled, so that a thousand proxies do not flood the bus.

A proxy's line goes out at once when something happened that a person would want to know; that it waits for an
acknowledgement is no news until it has waited for long. The progress line goes out as soon as the last proxy has
acknowledged: that is what "live" means.
"""

import asyncio
import time
from collections.abc import Collection

import structlog
from msgspec import structs

from osm.bus import StatusWriter, TooLarge
from osm.contracts.channels import OBJECT_STATUS, PROGRESS, PROXY_STATUS
from osm.contracts.names import ObjectRef
from osm.contracts.status import ObjectStatus, Progress, ProxyStatus, RolloutStatus
from services.xds.overview import Overview

SLOW_S = 1.0
"""A proxy acknowledges in milliseconds; one that has not for so long is reported as waiting. So often is looked for
such: to look at every answer would cost as much as the answers."""

PROGRESS_GAP_S = 0.02
"""Between two progress lines: nobody can act on more than fifty a second."""

SPREAD_GAP_S = 0.5
"""Between two progress lines that differ in nothing but on how many proxies a change is live."""

NAMED_ROLLOUTS = 50
"""As many as a progress line tells of: more than that is an outage, and any of them shows why."""

NAMED_BEHIND = 20
"""As many laggards as a progress line names; one is usually the culprit."""

log = structlog.get_logger()


class Reporter:
    """Told by the fleet which proxies may have changed; writes what really has."""

    def __init__(self, status: StatusWriter, service: str, replica: str) -> None:
        self._status = status
        self._service = service
        self._replica = replica
        self._touched: set[str] = set()
        self._news = asyncio.Event()
        self._lines: dict[str, ProxyStatus] = {}
        self._late: dict[str, tuple[int, float]] = {}  # proxy → the batch it owes, and since when that was seen
        self._slow: dict[str, float] = {}  # those reported as waiting → since when
        self._looked_at_s = 0.0
        self._progress: tuple[int, int, tuple[RolloutStatus, ...]] | None = None
        self._rollouts: tuple[RolloutStatus, ...] = ()
        self._progress_at_s = 0.0
        self._words: dict[ObjectRef, ObjectStatus] = {}

    @property
    def slow(self) -> Collection[str]:
        """The proxies reported as waiting; known while `run` runs, up to SLOW_S late."""
        return self._slow.keys()

    def touch(self, proxy_id: str = "") -> None:
        """Something changed that the progress line, or this proxy's line, may have to say."""
        if proxy_id:
            self._touched.add(proxy_id)
        self._news.set()

    async def run(self, overview: Overview) -> None:
        """Write lines until cancelled."""
        while True:
            try:
                async with asyncio.timeout(SLOW_S if self._touched or overview.is_behind else None):
                    await self._news.wait()
            except TimeoutError:
                pass  # who waits, waits for long by now
            self._news.clear()
            await self._write_words(overview)
            self._look_for_slow(overview, time.time())
            await self._write_lines(overview)  # first: who reads that all have answered has read who said no
            await self._write_progress(overview)
            await asyncio.sleep(PROGRESS_GAP_S)

    async def _write_progress(self, overview: Overview) -> None:
        rollouts = overview.rollouts()
        said = (overview.acked_revision(), overview.size, tuple(structs.replace(each, live=0) for each in rollouts))
        now_s = time.time()
        has_spread = rollouts != self._rollouts and now_s - self._progress_at_s >= SPREAD_GAP_S
        if said == self._progress and not has_spread:
            return
        self._progress, self._rollouts, self._progress_at_s = said, rollouts, now_s
        line = Progress(
            service=self._service,
            replica=self._replica,
            output=said[0],
            proxies=said[1],
            behind=overview.behind(NAMED_BEHIND),
            rollouts=rollouts[:NAMED_ROLLOUTS],
            at_s=now_s,
        )
        await self._put(PROGRESS.key(self._service, self._replica), line)

    async def _write_words(self, overview: Overview) -> None:
        """What proxies have rejected is told of the users' objects that it was made from."""
        words = overview.words_on_objects()
        for origin, word in words.items():
            if self._words.get(origin) != word:
                await self._put(self._key_of(origin), word)
        for origin in self._words.keys() - words.keys():
            await self._status.delete(self._key_of(origin))
        self._words = words

    async def _put(self, key: str, line: ObjectStatus | Progress | ProxyStatus) -> None:
        """One line that is too large keeps neither the others nor the proxies waiting."""
        try:
            await self._status.put(key, line)
        except TooLarge as error:
            log.warning("status line not written", key=key, why=str(error))

    def _key_of(self, origin: ObjectRef) -> str:
        return OBJECT_STATUS.key(self._service, origin.kind, origin.namespace or "-", origin.name)

    def _look_for_slow(self, overview: Overview, now_s: float) -> None:
        """Who still owes an answer to the same batch is slow; who no longer does is so no more."""
        if self._slow:
            owing = overview.owing()
            self._touched.update(self._slow.keys() - owing.keys())
        if now_s - self._looked_at_s < SLOW_S:
            return
        self._looked_at_s, before = now_s, self._late
        self._late = {}
        for proxy_id, batch in overview.owing().items():
            seen = before.get(proxy_id)
            self._late[proxy_id] = seen if seen is not None and seen[0] == batch else (batch, now_s)
        slow = {proxy_id: since_s for proxy_id, (_, since_s) in self._late.items() if now_s - since_s >= SLOW_S}
        self._touched.update(slow.keys() ^ self._slow.keys())
        self._slow = slow

    async def _write_lines(self, overview: Overview) -> None:
        for proxy_id in sorted(self._touched):
            line = overview.status_of(proxy_id)
            if line is not None and line.state == "waiting":
                if proxy_id not in self._slow:
                    continue
                line = structs.replace(line, behind_since_s=self._slow[proxy_id])
            self._touched.discard(proxy_id)
            if line != self._lines.get(proxy_id):
                await self._write_line(proxy_id, line)

    async def _write_line(self, proxy_id: str, line: ProxyStatus | None) -> None:
        key = PROXY_STATUS.key(proxy_id)
        if line is None:
            self._lines.pop(proxy_id, None)
            await self._status.delete(key)
        else:
            self._lines[proxy_id] = line
            await self._put(key, line)
