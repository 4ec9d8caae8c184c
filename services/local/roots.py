"""The roots that proxies accept from xds, as certmgr publishes them; one reader for all sidecars of the agent."""

import asyncio
from collections.abc import AsyncIterator

from osm.bus import Bus
from osm.contracts.channels import BUNDLE
from osm.contracts.trust import Bundle


class Roots:
    """The newest bundle of the trust domain. A bundle that is taken away is kept: no trust is never what was meant."""

    def __init__(self, trust_domain: str) -> None:
        self._key = BUNDLE.key(trust_domain)
        self._bundle: Bundle | None = None
        self._changed = asyncio.Condition()

    @property
    def pem(self) -> str | None:
        """None before the first."""
        return "".join(self._bundle.roots_pem) if self._bundle is not None else None

    async def run(self, bus: Bus) -> None:
        """Read on; endless."""
        async for update in bus.watch("certmgr", states=[BUNDLE]):
            for document in update.documents:
                if document.key == self._key and isinstance(document.value, Bundle):
                    await self._put(document.value)

    async def _put(self, bundle: Bundle) -> None:
        async with self._changed:
            self._bundle = bundle
            self._changed.notify_all()

    async def changes(self) -> AsyncIterator[str]:
        """The roots in PEM, and then each newer set; one that was missed is skipped."""
        last: str | None = None
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.pem is not None and self.pem != last)  # noqa: B023  # awaited before `last` changes
            last = self.pem
            assert last is not None
            yield last
