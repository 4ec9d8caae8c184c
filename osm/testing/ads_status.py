"""How a gRPC stream ended, as the server said it.

In grpc.aio a write that is under way when the server ends the stream overwrites the server's status with an INTERNAL
of its own (`Internal error from Core`), so `call.code()` after the end is not always what the server sent. The
status is therefore kept at the moment it comes.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import grpc
from grpc import aio

Value = TypeVar("Value")


class StreamEnded(Exception):
    """The stream is over; carries gRPC's status."""

    def __init__(self, code: grpc.StatusCode | None, details: str | None) -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details


def ending(call: "aio.StreamStreamCall[bytes, bytes]") -> asyncio.Future[StreamEnded]:
    """A future of the status that ends `call`; ask for it before the first write."""
    status: asyncio.Future[StreamEnded] = asyncio.get_running_loop().create_future()

    def keep(_call: object) -> None:
        if not status.done():
            status.set_result(StreamEnded(_at_once(call.code()), _at_once(call.details())))

    call.add_done_callback(keep)
    return status


def _at_once(coroutine: Coroutine[Any, Any, Value]) -> Value:
    """The result of a coroutine that has nothing left to wait for, as those of a call that is done."""
    try:
        coroutine.send(None)
    except StopIteration as returned:
        value: Value = returned.value
        return value
    coroutine.close()
    raise RuntimeError(f"{coroutine!r} waits")
