"""The peers' programs: built by scripts/peers into the cache, run as children that answer as `bench.child` has it."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bench.child import END_WITHIN_S, ROOT, Child


class NotBuilt(Exception):
    """scripts/peers has said why, on stderr."""


async def built(name: str) -> Path:
    """The program of that peer; it is built first if it is not there. Raises NotBuilt."""
    process = await asyncio.create_subprocess_exec(
        ROOT / "scripts" / "peers", name, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise NotBuilt(f"{name}: scripts/peers ended with code {process.returncode}")
    return Path(said.decode().strip())


def version_of(folder: Path) -> str:
    """A folder of the cache is called name-version; a version begins with a digit."""
    return re.split(r"-(?=\d)", folder.name, maxsplit=1)[1]


@asynccontextmanager
async def program_child(*command: object) -> AsyncIterator[Child]:
    """Run it, and end it by closing its input; by force if it does not go."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    try:
        yield Child(str(command[0]), process)
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
