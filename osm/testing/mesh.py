"""A mesh as its user has it: the program `osm` as a child process, its folder of manifests, its output.

For tests from outside: nothing of the mesh runs in the test's process. It knows how to look for what a mesh
leaves behind, which is the half of "it ends" that a user notices a week later. Linux only: it reads /proc.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

PATIENCE_S = 60.0
"""What has not come by then does not come."""

LOOK_EVERY_S = 0.02
"""Another process tells no event, so it is looked at."""

COMMAND_S = 60.0
"""A command that only reads answers within a second; starting Python on a busy machine is included."""

_LISTEN = "0A"  # TCP_LISTEN in linux/tcp_states.h
_BLOCK = re.compile(r'"127\.(\d+)\.\d+\.\d+"')


class Command(Struct, frozen=True, kw_only=True):
    """A command that has ended."""

    status: int
    out: str
    err: str


class Leftovers(Struct, frozen=True, kw_only=True):
    """What is there of a mesh: command lines of processes, listening addresses, its run folder."""

    processes: tuple[str, ...] = ()
    listeners: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.processes or self.listeners or self.folders)


def program() -> str:
    """The `osm` beside this Python."""
    return str(Path(sys.executable).with_name("osm"))


def osm(*arguments: str, home: Path, stdin: str | None = None, environment: dict[str, str] | None = None) -> Command:
    """Run a command to its end, as a script would: no terminal. Meshes are looked for below `home` only."""
    ended = subprocess.run(
        [program(), *arguments],
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=COMMAND_S,
        check=False,
        env={**os.environ, "TMPDIR": str(home), **(environment or {})},
    )
    return Command(status=ended.returncode, out=ended.stdout, err=ended.stderr)


class MeshProcess:
    """`osm up` or `osm demo` while it runs. Open it with `mesh_process`."""

    def __init__(self, arguments: Sequence[str], *, name: str, home: Path, folder: Path | None = None) -> None:
        """`home` takes the place of the machine's temporary folder: short, since Unix sockets go below it.

        Without an order of its mode it is explicit, on every machine: there a test asks from outside.
        """
        self.name = name
        self.home = home
        self.folder = folder if folder is not None else self.run_folder / "manifests"
        self._log = home / f"{name}.out"
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(
                [program(), *_ordered(arguments), "--name", name],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "TMPDIR": str(home)},
                start_new_session=True,  # a Ctrl-C for the tests is not one for the mesh
            )
        self._block: str | None = None

    # Where it is

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def run_folder(self) -> Path:
        return self.home / f"osm-{os.getuid()}" / self.name

    @property
    def bus(self) -> str:
        """As `--bus` takes it."""
        return f"unix:{self.run_folder / 'mesh.sock'}"

    @property
    def block(self) -> str:
        """The beginning of all its addresses, such as `127.66.`; known once it has started a sidecar."""
        if self._block is None:
            bootstraps = self.run_folder.glob("workloads/*/bootstrap.json")
            found = [match[1] for each in bootstraps if (match := _BLOCK.search(each.read_text()))]
            if not found:  # one that is being written at this moment says nothing yet
                raise LookupError(f"mesh {self.name} has started no sidecar yet: {self.output()}")
            self._block = f"127.{found[0]}."
        return self._block

    # What is done to it

    def put(self, file: str, text: str) -> None:
        """Write a file of the folder in one step: no reader sees half of it."""
        draft = self.folder / f".{file}.new"
        draft.write_text(text)
        draft.replace(self.folder / file)

    def remove(self, file: str) -> None:
        (self.folder / file).unlink()

    def osm(self, *arguments: str) -> Command:
        """A command about this mesh."""
        return osm(*arguments, "--bus", self.bus, home=self.home)

    def end(self, how: signal.Signals = signal.SIGTERM, within_s: float = PATIENCE_S) -> int:
        """Send the signal and wait; the exit status, negative for a signal. Raises subprocess.TimeoutExpired."""
        self._process.send_signal(how)
        return self._process.wait(within_s)

    def wait(self, within_s: float) -> int:
        """Wait for its own end; the exit status. Raises subprocess.TimeoutExpired."""
        return self._process.wait(within_s)

    # What is seen of it

    def output(self) -> str:
        """All it has printed so far."""
        return self._log.read_text()

    def until_printed(self, words: str, *, after: int = 0, within_s: float = PATIENCE_S) -> str:
        """Wait until it prints these words; what it printed from character `after` on. Raises TimeoutError."""
        self.until(lambda: words in self.output()[after:], f"{words!r} in the output", within_s)
        return self.output()[after:]

    def until(self, true: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
        """Wait for a fact. Raises TimeoutError with the output; at once if the mesh has ended."""
        deadline_s = time.monotonic() + within_s
        while not true():
            ended = self._process.poll()
            if ended is not None and not true():
                raise TimeoutError(f"{what}: the mesh has ended with status {ended}:\n{self.output()}")
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{what}: not within {within_s:g} s; output:\n{self.output()}")
            time.sleep(LOOK_EVERY_S)

    def until_gone(self, within_s: float = PATIENCE_S) -> None:
        """Wait until a mesh that was killed has no processes and, as far as `block` is known, listeners any more.

        The kernel ends them one by one, and a process of several threads has ended a moment before its sockets are
        closed. Raises TimeoutError.
        """
        deadline_s = time.monotonic() + within_s
        while (left := self.leftovers()).processes or left.listeners:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"mesh {self.name} was killed, and {within_s:g} s later there are {left}")
            time.sleep(LOOK_EVERY_S)

    def leftovers(self) -> Leftovers:
        """What there is of it now; nothing once it has ended as it should. Listeners only if `block` is known."""
        here = str(self.run_folder)
        return Leftovers(
            processes=tuple(sorted(_processes_of(here))),
            listeners=tuple(sorted(_listeners_at(self._block))) if self._block else (),
            folders=(here,) if self.run_folder.exists() else (),
        )

    def kill(self) -> None:
        """Whatever state it is in, at once."""
        if self.running:
            self._process.kill()
        self._process.wait()


def _ordered(arguments: Sequence[str]) -> list[str]:
    return [*arguments] if "--isolated" in arguments else [*arguments, "--explicit"]


@contextmanager
def mesh_process(
    *arguments: str, name: str, home: Path, folder: Path | None = None, end_within_s: float = PATIENCE_S
) -> Iterator[MeshProcess]:
    """Run a mesh for the length of the block; it is ended however the block ends, killed if it will not."""
    mesh = MeshProcess(arguments, name=name, home=home, folder=folder)
    try:
        yield mesh
        if mesh.running:
            mesh.end(within_s=end_within_s)
    finally:
        mesh.kill()


def live_meshes(home: Path) -> list[str]:
    """Names of the meshes below `home` that answer."""
    found = []
    for path in sorted((home / f"osm-{os.getuid()}").glob("*/mesh.sock")):
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(path)) == 0:
                found.append(path.parent.name)
    return found


def _processes_of(folder: str) -> Iterator[str]:
    """Processes that name the folder in their command line or work in it; those that have ended count not."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            place = str((process / "cwd").readlink())
        except OSError:
            continue  # it ended meanwhile, or is another user's
        if f"{folder}/" in f"{command} {place}/":
            yield f"{process.name}: {command}"


def _listeners_at(block: str) -> Iterator[str]:
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        host, _, port = words[1].partition(":")
        address = ".".join(str(byte) for byte in reversed(bytes.fromhex(host)))
        if words[3] == _LISTEN and address.startswith(block):
            yield f"{address}:{int(port, 16)}"
