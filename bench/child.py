"""A child process that is asked over its standard input and answers over its standard output, one JSON line each.

Both ends. Children measure themselves: a parent that looked in from outside would see clock ticks of 10 ms.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from osm.runtime.process import run_until_stopped

T = TypeVar("T", bound=Struct)

ANSWER_WITHIN_S = 600.0
END_WITHIN_S = 20.0
ROOT = Path(__file__).parent.parent


class Ask(Struct, frozen=True, kw_only=True):
    """What a child is to do, how often, and what it is to look for."""

    do: str
    rounds: int = 0
    sought: str = ""


class ChildFailed(Exception):
    """A child ended instead of answering; its own words are on stderr."""


class Dismissed(Exception):
    """A child's parent has asked for all: the only end of its work that is none of a failure."""


class Child:
    """The parent's end."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process

    async def answer(self, kind: type[T]) -> T:
        """The next line. Raises ChildFailed, TimeoutError."""
        assert self._process.stdout is not None
        async with asyncio.timeout(ANSWER_WITHIN_S):
            line = await self._process.stdout.readline()
        if not line:
            raise ChildFailed(f"{self._name} ended before it answered, with code {await self._process.wait()}")
        return msgspec.json.decode(line, type=kind)

    async def ask(self, kind: type[T], do: str, rounds: int = 0, *, sought: str = "") -> T:
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(Ask(do=do, rounds=rounds, sought=sought)) + b"\n")
        return await self.answer(kind)


@asynccontextmanager
async def child(runs: str | Path, *arguments: object, **environment: str) -> AsyncIterator[Child]:
    """Run a Python module or a program, and end it by closing its input. `environment` is added to ours."""
    command = (runs,) if isinstance(runs, Path) else (sys.executable, "-m", runs)
    process = await asyncio.create_subprocess_exec(
        *command,
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | environment,
    )
    assert process.stdin is not None
    try:
        yield Child(str(runs), process)
    finally:
        process.stdin.close()
        await gone(process)


async def gone(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a process that has been asked to end; by force if it does not go."""
    try:
        async with asyncio.timeout(END_WITHIN_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def say(answer: Struct) -> None:
    """The child's end: one answer."""
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


async def answer_asks(answers: dict[str, Callable[[int], Awaitable[Any]]]) -> None:
    """The child's end: answer every ask until the parent closes the input."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        ask = msgspec.json.decode(line, type=Ask)
        say(await answers[ask.do](ask.rounds))


def run_child(work: Callable[[], Awaitable[None]]) -> None:
    """The child's end: run the whole process as a service's is run, until `work`, which answers the asks, returns.

    Raises SystemExit with the sentence of a failure.
    """

    async def until_dismissed() -> None:
        await work()
        raise Dismissed

    try:
        run_until_stopped(until_dismissed)
    except Dismissed:
        return
    except Exception as error:  # one of many ends: its sentence is what the parent prints
        raise SystemExit(str(error)) from error
