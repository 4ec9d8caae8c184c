"""What xds says of its proxies, to `status`: throttled, so that a thousand proxies do not flood the bus.

A proxy's line goes out at once when it connects, leaves or rejects something, else at most every few seconds.
The progress line goes out as soon as the last proxy has acknowledged: that is what "live" means.
"""

import asyncio
import time

from osm.bus import StatusWriter
from osm.contracts.channels import PROGRESS, PROXY_STATUS
from osm.contracts.status import Progress, ProxyStatus
from services.xds.fleet import Fleet

QUIET_LINE_S = 5.0
"""How often a proxy's line may change for no more than "waiting" and "synced"."""

PROGRESS_GAP_S = 0.02
"""Between two progress lines: nobody can act on more than fifty a second."""

NAMED_BEHIND = 20
"""As many laggards as a progress line names; one is usually the culprit."""


class Reporter:
    """Told by the fleet which proxies may have changed; writes what really has."""

    def __init__(self, status: StatusWriter, service: str, replica: str) -> None:
        self._status = status
        self._service = service
        self._replica = replica
        self._touched: set[str] = set()
        self._news = asyncio.Event()
        self._lines: dict[str, ProxyStatus] = {}
        self._written_at: dict[str, float] = {}
        self._progress: tuple[int, int] | None = None

    def touch(self, proxy_id: str = "") -> None:
        """Something changed that the progress line, or this proxy's line, may have to say."""
        if proxy_id:
            self._touched.add(proxy_id)
        self._news.set()

    async def run(self, fleet: Fleet) -> None:
        """Write lines until cancelled."""
        while True:
            try:
                async with asyncio.timeout(QUIET_LINE_S if self._touched else None):
                    await self._news.wait()
            except TimeoutError:
                pass  # lines that were held back are due now
            self._news.clear()
            await self._write_progress(fleet)
            await self._write_lines(fleet)
            await asyncio.sleep(PROGRESS_GAP_S)

    async def _write_progress(self, fleet: Fleet) -> None:
        said = (fleet.acked_revision(), fleet.size)
        if said == self._progress:
            return
        self._progress = said
        line = Progress(
            service=self._service,
            replica=self._replica,
            output=said[0],
            proxies=said[1],
            behind=fleet.behind()[:NAMED_BEHIND],
            at_s=time.time(),
        )
        await self._status.put(PROGRESS.key(self._service, self._replica), line)

    async def _write_lines(self, fleet: Fleet) -> None:
        now = time.monotonic()
        behind = frozenset(fleet.behind())
        for proxy_id in sorted(self._touched):
            line = fleet.status_of(proxy_id, behind)
            old = self._lines.get(proxy_id)
            if line == old:
                self._touched.discard(proxy_id)
            elif _is_urgent(old, line) or now - self._written_at.get(proxy_id, 0.0) >= QUIET_LINE_S:
                self._touched.discard(proxy_id)
                await self._write_line(proxy_id, line, now)

    async def _write_line(self, proxy_id: str, line: ProxyStatus | None, now: float) -> None:
        key = PROXY_STATUS.key(proxy_id)
        if line is None:
            self._lines.pop(proxy_id, None)
            self._written_at.pop(proxy_id, None)
            await self._status.delete(key)
        else:
            self._lines[proxy_id] = line
            self._written_at[proxy_id] = now
            await self._status.put(key, line)


def _is_urgent(old: ProxyStatus | None, new: ProxyStatus | None) -> bool:
    """Connected, gone, held or let go, rejected or healed; all but waiting for an acknowledgement or not."""
    if old is None or new is None:
        return True
    return (old.rejections, old.why, old.connected_at_s) != (new.rejections, new.why, new.connected_at_s)
