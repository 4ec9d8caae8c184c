"""An archive that is there whole or not at all, and that its user alone can read.

Apart from what goes in, which takes a minute to gather: the file's place is tried before, and nothing is left behind
if the work is broken off.
"""

import io
import os
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from osm.cli.output import CommandError

Writer = Callable[[Path, Mapping[str, str]], None]


@contextmanager
def archived(file: Path) -> Iterator[dict[str, str]]:
    """What is put in (name in the archive → text) is written when the block ends well. Raises CommandError."""
    write = _writer(file)
    try:
        with _draft(file) as draft:
            texts: dict[str, str] = {}
            yield texts
            write(draft, texts)
            draft.replace(file)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", remedy="-o FILE in a folder that can be written") from error


@contextmanager
def _draft(file: Path) -> Iterator[Path]:
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)  # made with mode 0600
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _writer(file: Path) -> Writer:
    """By the name's end. Raises CommandError."""
    for endings, write in (((".zip",), _zip), ((".tar.gz", ".tgz"), _tar_gz), ((".tar",), _tar)):
        if file.name.endswith(endings):
            return write
    raise CommandError(
        f"--out-file {file}: the name must end in .zip, .tar or .tar.gz", remedy="-o report.tar.gz", status=2
    )


def _zip(file: Path, texts: Mapping[str, str]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in sorted(texts.items()):
            made.writestr(name, text)


def _tar_gz(file: Path, texts: Mapping[str, str]) -> None:
    with tarfile.open(file, "w:gz") as made:
        _fill(made, texts)


def _tar(file: Path, texts: Mapping[str, str]) -> None:
    with tarfile.open(file, "w") as made:
        _fill(made, texts)


def _fill(made: tarfile.TarFile, texts: Mapping[str, str]) -> None:
    for name, text in sorted(texts.items()):
        body = text.encode()
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime, entry.mode = len(body), int(time.time()), 0o600
        made.addfile(entry, io.BytesIO(body))
