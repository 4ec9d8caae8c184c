"""Files → a scan, and a new one whenever they change: the only module of this package that touches files.

Apart from the reading of text, because what goes wrong here is the file system's. An edit is seen within a few
milliseconds. What is *new* is believed at once; a file that seems to have *lost* objects is read again a moment
later, since editors and shells truncate, remove and rename before they write.
"""

import asyncio
import hashlib
import os
import stat
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path

from msgspec import Struct
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.manifests.document import RawDocument, Scan
from osm.manifests.yaml import MAX_FILE_BYTES, Reading, read

SUFFIXES = (".yaml", ".yml", ".json")

STEP_MS = 2
"""How often watchfiles looks whether the kernel has told something; an edit is seen after two of these."""

SETTLE_S = 0.05
"""How long a file may look emptier than it was before that is believed; editors need a millisecond or two."""

RECONCILE_S = 30.0
"""How often everything is looked at without being told: the kernel may drop events and cannot see all mounts."""

TICK_NS = 20_000_000
"""File times move in ticks of the kernel, 10 ms at most: a file this young may change and keep its times."""

ABSENT_S = 0.25
"""How often a folder that is not there is looked for."""


class _Stamp(Struct, frozen=True):
    """What changes when a file does."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> "_Stamp":
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


class _Read(Struct, frozen=True):
    """A file as it was read. `young`: it may have changed since within the tick of its times, so read it again."""

    stamp: _Stamp
    digest: bytes
    reading: Reading
    young: bool


class Folder:
    """A folder of manifests, or one file; remembers what it has read so that only changed files are read again."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._files: dict[str, _Read] = {}
        self._doubted: dict[str, _Stamp | None] = {}

    @property
    def unsettled(self) -> bool:
        """Whether some file seems to have lost objects: scan again after SETTLE_S to believe it."""
        return bool(self._doubted)

    def scan(self) -> Scan:
        """What the folder holds now. Raises nothing for what is in it; blocks while it reads."""
        problems: list[Problem] = []
        files: dict[str, _Read] = {}
        doubted: dict[str, _Stamp | None] = {}
        found = {_label(file): (file, stamp) for file, stamp in sorted(_walk(self.path, problems))}
        unread = {problem.file or "" for problem in problems}
        for file in sorted(found.keys() | self._files.keys()):
            place, stamp = found.get(file, (None, None))
            old = self._files.get(file)
            if stamp is None and any(str(above) in unread for above in Path(file).parents):
                continue
            new = _read(file, place, stamp, old) if place and stamp else None
            if old is not None and _lost(old, new) and self._doubted.get(file, ...) != stamp:
                doubted[file] = stamp
                new = old
            if new is not None:
                files[file] = new
        self._files, self._doubted = files, doubted
        return _whole(files, problems)


def scan(path: str | Path) -> Scan:
    """What a folder (or one file) holds now."""
    return Folder(path).scan()


async def watch(path: str | Path, *, reconcile_s: float = RECONCILE_S) -> AsyncIterator[Scan]:
    """The folder as it is, then again after every change; endless. Equal scans are not repeated."""
    folder = Folder(path)
    last: Scan | None = None
    while True:
        async with aclosing(_stirrings(folder.path, reconcile_s)) as stirrings:
            async for _ in stirrings:
                now = await asyncio.to_thread(folder.scan)
                if now != last:
                    last = now
                    yield now
                while folder.unsettled:
                    await asyncio.sleep(SETTLE_S)
                    now = await asyncio.to_thread(folder.scan)
                    if now != last:
                        last = now
                        yield now


async def _stirrings(path: Path, reconcile_s: float) -> AsyncGenerator[None, None]:
    """Something may have changed: now, on every event, every `reconcile_s`. Ends when the watch must be made anew."""
    root = _identity(path)
    if root is None:
        yield
        await asyncio.sleep(ABSENT_S)
        return
    loop, stop = asyncio.get_running_loop(), threading.Event()
    try:
        watcher = RustNotify([str(path)], False, False, 0, True, True)  # noqa: FBT003  # positional in watchfiles
    except (OSError, WatchfilesRustInternalError):  # gone, or the kernel's watches are used up: look without being told
        yield
        await asyncio.sleep(ABSENT_S)
        return
    wait = partial(watcher.watch, STEP_MS * 4, STEP_MS, int(reconcile_s * 1000), stop)
    with watcher, ThreadPoolExecutor(1, "folder") as thread:
        try:
            yield  # the watch stands already, so that no edit falls between it and the first scan
            while _identity(path) == root:
                await loop.run_in_executor(thread, wait)
                yield
        finally:
            stop.set()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _walk(path: Path, problems: list[Problem]) -> Iterator[tuple[Path, _Stamp]]:
    """The files that hold manifests; what cannot be looked into is a Problem that names the place."""
    pending, seen = [path], set[tuple[int, int]]()
    while pending:
        place = pending.pop()
        try:
            found = place.stat()
            if stat.S_ISREG(found.st_mode):
                yield place, _Stamp.of(found)
            elif not stat.S_ISDIR(found.st_mode):
                problems.append(Problem(what="neither a file nor a folder", file=_label(place)))
            elif (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                with os.scandir(place) as entries:
                    pending += [Path(entry.path) for entry in entries if _wanted(entry.name, entry.is_dir())]
        except FileNotFoundError:
            if place == path:
                problems.append(Problem(what="there is no such folder", file=_label(place)))
            elif place.is_symlink():
                problems.append(Problem(what="the link points to nothing", file=_label(place)))
        except OSError as error:
            problems.append(
                Problem(what=f"cannot be read: {(error.strerror or str(error)).lower()}", file=_label(place))
            )


def _wanted(name: str, is_folder: bool) -> bool:  # noqa: FBT001  # what scandir says of the name
    """Not hidden (`..data` of a mounted ConfigMap is), not an editor's."""
    return not name.startswith((".", "#")) and (is_folder or name.endswith(SUFFIXES))


def _label(path: Path) -> str:
    """How messages name a path: as given, and always text that can be encoded."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _read(file: str, place: Path, stamp: _Stamp, old: _Read | None) -> _Read | None:
    """The file as it is; what was read before if it is the same. None if it is gone by now."""
    if old is not None and old.stamp == stamp and not old.young:
        return old
    young = time.time_ns() - max(stamp.mtime_ns, stamp.ctime_ns) < TICK_NS
    try:
        with place.open("rb") as opened:
            text = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        what = f"cannot be read: {(error.strerror or str(error)).lower()}"
        return _Read(stamp, b"", Reading(problems=(Problem(what=what, file=file),), whole=False), young)
    digest = hashlib.sha256(text).digest()
    reading = old.reading if old is not None and old.digest == digest else read(text, file)
    return _Read(stamp, digest, reading, young)


def _lost(old: _Read, new: _Read | None) -> bool:
    """Whether less is known of the file's objects than before."""
    if new is None:
        return bool(old.reading.documents)
    if new.reading is old.reading:
        return False
    names = {document.ref for document in new.reading.documents}
    return any(document.ref not in names for document in old.reading.documents)


def _whole(files: dict[str, _Read], problems: list[Problem]) -> Scan:
    documents: dict[tuple[str, ObjectRef], RawDocument] = {}
    found = list(problems)
    unreadable = {problem.file for problem in problems if problem.file}
    for file, each in files.items():
        found += each.reading.problems
        if not each.reading.whole:
            unreadable.add(file)
        for document in each.reading.documents:
            first = documents.setdefault((document.group, document.ref), document)
            if first is not document:
                where = f"{first.file}:{first.line}"
                what = f"this object is defined twice; the first counts, at {where}; remove one of the two"
                found.append(document.problem("", what))
    return Scan(
        documents=tuple(documents.values()),
        problems=tuple(sorted(found, key=lambda each: (each.file or "", each.line or 0, each.field, each.what))),
        unreadable=frozenset(unreadable),
    )
