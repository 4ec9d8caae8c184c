"""docker-compose.yml as it is, run by podman-compose with the images of `make images`: one mesh for the session."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.not_run import not_run

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "osm" / "images"

ENGINE = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
network_backend = "netavark"
[containers]
oom_score_adj = 100
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
"""
"""For machines without systemd, and without the right to raise limits."""

PROGRAMS = ("podman", "runc", "netavark", "aardvark-dns")
PACKAGES = ("podman", "runc", "netavark", "aardvark-dns")
HELPERS = ("/usr/lib/podman", "/usr/libexec/podman", "/usr/lib/netavark")
"""Where distributions keep programs that only podman calls."""


BUILT_WITHIN_S = 2_400
"""With nothing in the cache; a minute or two otherwise."""
DONE_WITHIN_S = 600.0
"""Ten containers that wait for each other, or the demo's own proof, on a machine that is busy with other things."""
FIRST_WITHIN_S = 3_600
"""The first test waits for what is not in the cache yet, and for the mesh; each command has a limit of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker("compose")
            item.add_marker(pytest.mark.timeout(FIRST_WITHIN_S))


class Compose:
    """A project of the compose file."""

    def __init__(self, project: str, manifests: Path, settings: Path) -> None:
        self.project = project
        self.manifests = manifests
        self._environment = {**os.environ, "CONTAINERS_CONF": str(settings), "OSM_MANIFESTS": str(manifests)}

    def __call__(self, *arguments: str, timeout_s: float = DONE_WITHIN_S) -> subprocess.CompletedProcess[str]:
        """As `docker compose …` would be called."""
        store = (f"--podman-args=--root={CACHE / 'store'}", f"--podman-args=--runroot={CACHE / 'running'}")
        tools = ("--profile", "tools") if arguments[0] in ("run", "down") else ()  # docker compose finds it by itself
        program = Path(sys.executable).with_name("podman-compose")
        return subprocess.run(
            [str(program), *store, "-p", self.project, *tools, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def podman(self, *arguments: str) -> str:
        """What podman says of the project's things."""
        return subprocess.run(
            ["podman", "--root", str(CACHE / "store"), "--runroot", str(CACHE / "running"), *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=DONE_WITHIN_S,
            check=True,
        ).stdout


@pytest.fixture(scope="session")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """The mesh, up. Gone at the end, whatever happens; so are its volumes."""
    _require()
    subprocess.run([ROOT / "scripts" / "images"], check=True, timeout=BUILT_WITHIN_S)
    folder = tmp_path_factory.mktemp("compose")
    settings = folder / "containers.conf"
    settings.write_text(ENGINE)
    manifests = folder / "manifests"
    shutil.copytree(ROOT / "demo" / "manifests", manifests)
    project = Compose(f"osm-test-{os.getpid()}", manifests, settings)
    try:
        up = project("up", "-d")
        assert up.returncode == 0, f"{up.stderr}\n{project.podman('ps', '-a')}\n{_last_words(project)}"
        yield project
    finally:
        project("down", "--volumes", "-t", "5")


def _last_words(project: Compose) -> str:
    """Of the containers that have ended though they should not."""
    ended = project.podman("ps", "-a", "--filter", "status=exited", "--format", "{{.Names}}").split()
    return "\n".join(f"{name}: {project.podman('logs', '--tail', '5', name)}" for name in ended)


def _require() -> None:
    """Containers need root here, and podman; in CI their absence is a failure."""
    if os.geteuid() != 0:
        not_run("containers are run as root here; run `sudo make test-compose`")
    if missing := [name for name in PROGRAMS if not _is_there(name)]:
        apt = shutil.which("apt-get")
        if apt is None:
            not_run(f"{', '.join(missing)} not found; install {' '.join(PACKAGES)}")
        subprocess.run([apt, "-qq", "update"], check=True, capture_output=True)
        subprocess.run(
            [apt, "-qq", "install", "--yes", "--no-install-recommends", *PACKAGES],
            check=True,
            capture_output=True,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )


def _is_there(name: str) -> bool:
    return shutil.which(name) is not None or any(Path(folder, name).exists() for folder in HELPERS)
