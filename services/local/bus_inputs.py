"""What the agent reads from the bus for all its sidecars: the roots of xds, the meshed accounts, how much to log.

One reader each for the whole agent, however many sidecars there are.
"""

import asyncio

from msgspec import Struct

from osm.bus import Bus
from services.local.log_level import SidecarLogLevel
from services.local.meshed_accounts import MeshedAccounts
from services.local.roots import Roots


class BusInputs(Struct, frozen=True, kw_only=True):
    """Made before anything is known; whoever needs one of them waits for it."""

    roots: Roots
    meshed: MeshedAccounts
    level: SidecarLogLevel

    @classmethod
    def nothing(cls, trust_domain: str) -> "BusInputs":
        return cls(roots=Roots(trust_domain), meshed=MeshedAccounts(), level=SidecarLogLevel())

    async def run(self, bus: Bus) -> None:
        """Read on; endless."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.roots.run(bus), name="local: roots")
            tasks.create_task(self.meshed.run(bus), name="local: meshed accounts")
            tasks.create_task(self.level.run(bus), name="local: log level")
