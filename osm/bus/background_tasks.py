"""Background tasks that live exactly as long as the body of a `with`, and end it when they fail.

A task group wraps what it raises; here the first error comes out as it is, so that callers can name it.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def background_tasks(*endless: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.TaskGroup]:
    """Run these beside the body; they are cancelled at its end."""
    try:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(one) for one in endless]
            yield tasks
            for task in started:
                task.cancel()
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None
