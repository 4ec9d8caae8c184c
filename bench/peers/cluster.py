"""The API server that Istio reads, with a hand to write its objects; and a program beside it, run for a block."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.child import ChildFailed, gone
from osm.testing.kubernetes import ADMIN, ApiServer

READY_WITHIN_S = 120.0
LOOK_EVERY_S = 0.2
LAST_WORDS = 2_000


class Cluster:
    """Writes objects; open it with `cluster`."""

    def __init__(self, http: aiohttp.ClientSession, kubeconfig: Path) -> None:
        self._http = http
        self.kubeconfig = kubeconfig

    async def create(self, path: str, document: dict[str, Any]) -> None:
        """Raises aiohttp.ClientResponseError when the API server refuses."""
        async with self._http.post(path, json=document):
            return

    async def replace(self, path: str, document: dict[str, Any]) -> None:
        """Whatever version is there. Raises aiohttp.ClientResponseError when the API server refuses."""
        async with self._http.put(path, json=document):
            return


@asynccontextmanager
async def cluster(programs: Path, folder: Path) -> AsyncIterator[Cluster]:
    """`programs` holds etcd and kube-apiserver. Raises NoApiServer if they do not start."""
    server = ApiServer(programs, folder)
    try:
        await asyncio.to_thread(server.start)
        async with aiohttp.ClientSession(
            f"https://{server.address}",
            headers={"Authorization": f"Bearer {ADMIN}"},
            connector=aiohttp.TCPConnector(ssl=False),
            raise_for_status=True,
        ) as http:
            yield Cluster(http, server.kubeconfig)
    finally:
        await asyncio.to_thread(server.stop)


class Running:
    """A program that writes its words into a file of the folder."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.pid = process.pid
        self._name = name
        self._process = process
        self._log = log

    def require(self) -> None:
        """Raises ChildFailed with its last words if it has ended."""
        if self._process.returncode is not None:
            said = self._log.read_text(errors="replace")[-LAST_WORDS:]
            raise ChildFailed(f"{self._name} ended with code {self._process.returncode}: {said}")


@asynccontextmanager
async def process(
    program: Path, arguments: list[str], folder: Path, settings: dict[str, str] | None = None
) -> AsyncIterator[Running]:
    """Run a program until the block ends."""
    log = folder / f"{program.name}.log"
    with log.open("wb") as words:
        running = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **(settings or {})},
        )
    try:
        yield Running(program.name, running, log)
    finally:
        if running.returncode is None:
            running.terminate()
        await gone(running)


async def ready(http: aiohttp.ClientSession, path: str, running: tuple[Running, ...]) -> None:
    """Wait until it answers well. Raises ChildFailed, TimeoutError."""
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            for one in running:
                one.require()
            try:
                async with http.get(path):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(LOOK_EVERY_S)
