"""What the parent of workers shows of them at OSM_HTTP: ready while any of them is, and the measures of all.

Each worker serves its own pages on a socket that only we know; they are read every few seconds. A worker's measures get
the label `worker`, so that sums over it are those of one process. It asks nothing of the workers but these pages.
"""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from osm.runtime.health import Health

READ_EVERY_S = 2.0
"""Below the 5 s or more between two probes of kubelet or Prometheus."""

ANSWER_WITHIN_S = 2.0


class Page(Struct, frozen=True, kw_only=True):
    """An answer: its status, its text."""

    status: int
    text: str


class Pages:
    """The last that was read of each worker, by its name."""

    def __init__(self, health: Health, sockets: Mapping[str, Path]) -> None:
        self.health = health
        self._sockets = sockets
        self._metrics: dict[str, str] = {}

    async def refresh(self) -> NoReturn:
        """Read the workers' pages, again and again."""
        self.health.starting("its workers")
        while True:
            await self._read_all()
            await asyncio.sleep(READ_EVERY_S)

    def exposition(self) -> bytes:
        """All workers' measures in Prometheus text, up to READ_EVERY_S old."""
        return merged(self._metrics).encode()

    async def _read_all(self) -> None:
        waiting: list[str] = []
        for name, socket in self._sockets.items():
            ready = await read_page(socket, "/readyz")
            metrics = await read_page(socket, "/metrics")
            if metrics is not None and metrics.status == 200:
                self._metrics[name] = metrics.text
            if ready is None:
                self._metrics.pop(name, None)
                waiting.append(f"worker {name} to start")
            elif ready.status != 200:
                waiting.append(f"worker {name} ({ready.text.strip()})")
        if len(waiting) < len(self._sockets):
            self.health.active()
        else:
            self.health.starting(*waiting)


async def read_page(socket: Path, path: str) -> Page | None:
    """One page over HTTP on a Unix socket; None if nobody answers, or ends before it has."""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_unix_connection(socket)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n".encode())
                return _page(await reader.read(-1))
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None


def _page(answer: bytes) -> Page | None:
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    try:
        return Page(status=int(status[0]), text=body.decode()) if status else None
    except ValueError:  # cut off in the middle of the number or of a character
        return None


def merged(texts: Mapping[str, str]) -> str:
    """Expositions of several processes as one: each family once, each sample with its process as label `worker`."""
    families: dict[str, list[str]] = {}
    for worker in sorted(texts):
        family: list[str] = []
        for line in texts[worker].splitlines():
            if line.startswith("# "):
                _, kind, name, *_ = line.split(" ", 3)
                family = families.setdefault(name, [])
                if kind in ("HELP", "TYPE") and line not in family:
                    family.append(line)
            elif line:
                family.append(_labelled(line, worker))
    return "".join(f"{line}\n" for line in _lines(families.values()))


def _lines(families: Iterable[list[str]]) -> Iterable[str]:
    for family in families:
        yield from family


def _labelled(sample: str, worker: str) -> str:
    name, brace, rest = sample.partition("{")
    if brace:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
