"""A cluster of scripts/cluster that runs, and commands pointed at it."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
ANSWER_WITHIN_S = 120.0
READY_WITHIN_S = 300
"""A machine that is busy with other things starts ten containers slowly."""
SEEN_WITHIN_S = 180.0
"""Only what never comes is to end a test: all that is waited for comes within seconds."""

T = TypeVar("T")


class Failed(AssertionError):
    """A command that had to succeed did not; the message has its words."""


@dataclass(frozen=True)
class Cluster:
    """A cluster that runs, and commands that are pointed at it."""

    run: Path
    environment: Mapping[str, str]

    @property
    def kubeconfig(self) -> Path:
        return self.run / "kubeconfig"

    def command(self, *arguments: str, said: str = "", within_s: float = ANSWER_WITHIN_S) -> str:
        """What it prints; `said` is its standard input. Its kubectl, helm and osm are on the path. Raises Failed."""
        done = subprocess.run(
            arguments,
            input=said,
            capture_output=True,
            text=True,
            env=dict(self.environment),
            timeout=within_s,
            check=False,
        )
        if done.returncode:
            raise Failed(f"{' '.join(arguments)}: ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def kubectl(self, *arguments: str, said: str = "", within_s: float = ANSWER_WITHIN_S) -> str:
        """Raises Failed."""
        return self.command("kubectl", *arguments, said=said, within_s=within_s)

    def apply(self, manifest: str, namespace: str = "default") -> None:
        """Raises Failed."""
        self.kubectl("apply", "--namespace", namespace, "--filename", "-", said=manifest)

    def create_namespace(self, name: str) -> None:
        """One in which pods can be made: not before the account that they run under. Raises Failed."""
        self.wait("delete", f"namespace/{name}", namespace=name)  # of a test before
        self.kubectl("create", "namespace", name)
        self.wait("create", "serviceaccount/default", namespace=name)

    def wait(self, condition: str, *what: str, namespace: str, within_s: int = READY_WITHIN_S) -> None:
        """As `kubectl wait --for=CONDITION` does. Raises Failed."""
        command = ("wait", f"--for={condition}", f"--namespace={namespace}", f"--timeout={within_s}s")
        self.kubectl(*command, *what, within_s=within_s + 10)  # kubectl says what it waits for; so it is to end first

    def scale(self, what: str, namespace: str, replicas: int) -> None:
        """It does not wait. Raises Failed."""
        self.kubectl("scale", what, f"--namespace={namespace}", f"--replicas={replicas}")

    def rolled_out(self, what: str, namespace: str, within_s: int = READY_WITHIN_S) -> None:
        """Wait until all pods of `deployment/NAME`, or of every `deployment`, are new and ready. Raises Failed."""
        status = ("rollout", "status", what, f"--namespace={namespace}", f"--timeout={within_s}s")
        self.kubectl(*status, within_s=within_s + 10)

    def inside(self, *arguments: str) -> str:
        """What a command prints where the node runs. Raises Failed."""
        return self.command(str(ROOT / "scripts/cluster"), "inside", *arguments)


def eventually(look: Callable[[], T], what: str, within_s: float = SEEN_WITHIN_S) -> T:
    """What it finds, once that is something. Raises Failed."""
    last = time.monotonic() + within_s
    while time.monotonic() < last:
        if found := look():
            return found
        time.sleep(0.2)
    raise Failed(f"{what}: not within {within_s:g} s")


def up(run: Path) -> Cluster:
    """Start a cluster in that folder, unless it runs. Raises Failed."""
    done = _script("up", run, stdout=subprocess.PIPE)
    if done.returncode:
        raise Failed(f"scripts/cluster up: ended with {done.returncode}")
    exported = dict(re.findall(r"^export (\w+)=(.*)$", done.stdout, re.MULTILINE))
    path = exported["PATH"].replace("$PATH", f"{ROOT / '.venv/bin'}:{os.environ['PATH']}")
    own = run / "tmp"  # where `osm` looks for meshes of this machine, of which there is none here
    own.mkdir(exist_ok=True)
    # What kubectl knows of a cluster by its address may be of another one that had it before.
    pointed = {**exported, "OSM_CLUSTER_RUN": str(run), "PATH": path, "KUBECACHEDIR": str(run / "kubectl")}
    return Cluster(run, {**os.environ, **pointed, "TMPDIR": str(own)})


def runs(run: Path) -> bool:
    return not _script("env", run, capture_output=True).returncode


def down(run: Path) -> None:
    """End it. Raises Failed."""
    if code := _script("down", run).returncode:
        raise Failed(f"scripts/cluster down: ended with {code}")


def _script(verb: str, run: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OSM_CLUSTER_RUN": str(run)}
    return subprocess.run([ROOT / "scripts/cluster", verb], env=environment, text=True, check=False, **options)
