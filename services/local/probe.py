"""Is a program ready? Asked as its manifest says: a GET, or a connection.

Hand-written, because a probe needs no more of HTTP than a status line, and hundreds of them run side by side.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from osm.contracts.names import Address
from services.local.plan_types import Check

EAGER_S = 0.1
EAGER_GROWS = 1.05
"""A program that is not ready is asked this soon again, whatever its probe's period, then less and less often (after
10 s every half second): a mesh on a laptop starts at once, and one that stays broken costs little."""

_STATUS_LINE_MAX_BYTES = 1024

Connect = Callable[[Address], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def _from_here(to: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(to.host, to.port)


async def probe(check: Check, connect: Connect = _from_here) -> str:
    """Why the program is not ready; empty if it is."""
    try:
        async with asyncio.timeout(check.timeout_s):
            reader, writer = await connect(check.address)
            try:
                return await _get(check, reader, writer) if check.path is not None else ""
            finally:
                writer.close()
                with contextlib.suppress(OSError):  # the answer is known already
                    await writer.wait_closed()
    except TimeoutError:
        return f"no answer from {check.address} within {check.timeout_s:g} s"
    except ConnectionRefusedError:
        return f"nothing listens on {check.address}"
    except (OSError, ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError) as error:
        return f"{check.address}: {error}"


async def watch(
    check: Check, told: Callable[[bool, str], None], *, goes_on: bool = False, connect: Connect = _from_here
) -> None:
    """Ask on and on; `told` hears what is so after every answer. Ends only if the check is for `once`, and ready.

    `goes_on`: the program has been running for long, so it is asked at once, and one good answer is enough.
    """
    await asyncio.sleep(0 if goes_on else check.delay_s)
    ready, good, bad = False, 0, 0
    successes = 1 if goes_on else check.successes
    eager_s = EAGER_S
    while True:
        why = await probe(check, connect)
        good, bad = (0, bad + 1) if why else (good + 1, 0)
        ready = bad < check.failures if ready else good >= successes
        told(ready, "" if ready else why)
        if ready and check.once:
            return
        eager_s = EAGER_S if ready else eager_s * EAGER_GROWS
        await asyncio.sleep(check.period_s if ready else min(check.period_s, eager_s))


async def _get(check: Check, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str:
    headers = {"host": str(check.address), "user-agent": "osm-probe", "connection": "close", **dict(check.headers)}
    lines = [f"GET {check.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1", "replace"))
    await writer.drain()
    line = (await reader.readuntil(b"\n"))[:_STATUS_LINE_MAX_BYTES].decode("latin-1")
    status = int(line.split()[1]) if line.startswith("HTTP/") and len(line.split()) > 1 else 0
    return "" if 200 <= status < 400 else f"GET {check.path} at {check.address} answered {status or 'no HTTP'}"
