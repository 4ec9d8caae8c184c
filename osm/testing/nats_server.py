"""A real nats-server for tests and trials: on a free loopback port, with a store that goes when it does.

It refuses to replace the server by a fake: what breaks meshes is what real servers do when they are killed,
emptied or full.
"""

import asyncio
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from osm.bus.nats_greeting import greets
from osm.bus.nats_program import NoServer, find
from osm.testing.free_ports import free_port

__all__ = ["NatsServer", "NoServer", "find", "nats_server"]

READY_TIMEOUT_S = 60.0
"""A server recovers its store before it listens; a slow disk and a busy machine are included."""


class NatsServer:
    """One server process and its store. `stop` and `start` again keep port and store, as a restart does."""

    def __init__(self, binary: Path, folder: Path, *, extra: str = "", max_file_bytes: int = 256 * 1024 * 1024) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self._binary = binary
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.configure(extra, max_file_bytes=max_file_bytes)

    def configure(self, extra: str = "", *, max_file_bytes: int = 256 * 1024 * 1024) -> None:
        """Write the configuration that the next start reads; `extra` is added as it is (users, TLS)."""
        (self._folder / "server.conf").write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            "max_payload: 8388608\n"
            f'jetstream {{ store_dir: "{self._folder / "store"}", max_mem: 64MB, max_file: {max_file_bytes} }}\n'
            f"{extra}\n"
        )

    async def start(self) -> None:
        """Returns when it answers. Raises NoServer with the end of its log if it does not."""
        log = self._folder / "server.log"
        with log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                self._binary, "-c", self._folder / "server.conf", stdout=output, stderr=output
            )
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                while not await greets("127.0.0.1", self.port):
                    if self._process.returncode is not None:
                        break
                    await asyncio.sleep(0.02)
                else:
                    return
        except TimeoutError:
            await self.kill()
        raise NoServer(f"{self._binary} did not start: {log.read_text()[-2000:]}")

    async def stop(self) -> None:
        """An orderly end."""
        await self._end(signal.SIGTERM)

    async def kill(self) -> None:
        """Kill -9."""
        await self._end(signal.SIGKILL)

    def wipe(self) -> None:
        """Lose the disk of a server that is not running."""
        shutil.rmtree(self._folder / "store", ignore_errors=True)

    async def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.send_signal(how)
            await process.wait()


@asynccontextmanager
async def nats_server(
    binary: Path | None = None, *, extra: str = "", max_file_bytes: int = 256 * 1024 * 1024
) -> AsyncIterator[NatsServer]:
    """A running server, killed and its store removed at the end. Raises NoServer."""
    with tempfile.TemporaryDirectory(prefix="osm-nats-") as folder:
        server = NatsServer(binary or find(), Path(folder), extra=extra, max_file_bytes=max_file_bytes)
        try:
            await server.start()
            yield server
        finally:
            await server.kill()
