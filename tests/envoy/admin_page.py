"""What an Envoy says of itself, asked until it answers: `osm.envoy.admin` gives up sooner than a busy machine needs."""

import asyncio
from pathlib import Path

from osm.envoy import admin

PATIENCE_S = 60.0


async def page(socket: Path, query: str, names: str = "") -> str:
    """The body. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE_S):
        while (reply := await admin.read(socket, query, names)).why:
            await asyncio.sleep(0.05)
    return reply.body


async def counter(admin_socket: Path, name: str) -> int:
    """The value of one of Envoy's counters, which must exist."""
    stats = (await page(admin_socket, "stats")).splitlines()
    (value,) = (line.removeprefix(f"{name}: ") for line in stats if line.startswith(f"{name}: "))
    return int(value)
