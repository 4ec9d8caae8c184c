"""Work on a gRPC call that is ended, not cancelled, when its peer has gone.

gRPC for Python cancels the handler of a call that is over. A read or a write that is cancelled with it never gives back
what gRPC has allocated for it, some 80 bytes; left alone it comes to its end at once, since the call is over.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


async def uncancelled(work: Coroutine[Any, Any, None], over: Callable[[], object]) -> None:
    """Run `work` to its end. Cancelled meanwhile, call `over`, which is to bring it to that end, and wait for it."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        over()
        await asyncio.wait([task])
        task.result()  # a fault of ours is told all the same
        raise
