"""A Helm chart, rendered by the real helm: what a cluster would be given, as text.

It parses nothing and keeps nothing: a test asks for the values it wants and reads the manifests itself.
"""

import os
import shutil
import subprocess
from pathlib import Path

from msgspec import Struct

VERSION = "3.22.0"
"""What `scripts/kubernetes cluster` builds."""

KUBERNETES = "1.35"
"""Rendered for this version; a helm without a cluster assumes one of its own otherwise."""

RENDERED_WITHIN_S = 60.0


class NoHelm(RuntimeError):
    """There is no helm here; the message says what to do."""


class Refused(RuntimeError):
    """helm does not render these values; the message is helm's."""


class Helm(Struct, frozen=True, kw_only=True):
    """A helm and the chart it renders."""

    program: Path
    chart: Path

    def render(self, *settings: str, kubernetes: str = KUBERNETES) -> str:
        """The manifests for `--set` of each of the settings, without CRDs. Raises Refused."""
        place = ("template", "osm", str(self.chart), "--namespace=osm-system")
        return self._run(*place, *_sets(settings), kubernetes=kubernetes)

    def lint(self, *settings: str) -> str:
        """helm's words. Raises Refused."""
        return self._run("lint", "--strict", str(self.chart), *_sets(settings))

    def _run(self, *arguments: str, kubernetes: str = KUBERNETES) -> str:
        done = subprocess.run(
            [str(self.program), *arguments, f"--kube-version={kubernetes}"],
            capture_output=True,
            text=True,
            timeout=RENDERED_WITHIN_S,
            check=False,
        )
        if done.returncode:
            raise Refused(done.stderr or done.stdout)
        return done.stdout


def find_helm() -> Path:
    """The cache's, else the one on PATH. Raises NoHelm."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    built = cache / "osm" / "tools" / f"helm-{VERSION}" / "helm"
    found = str(built) if os.access(built, os.X_OK) else shutil.which("helm")
    if found is None:
        raise NoHelm(f"no helm at {built} nor on PATH: run `scripts/kubernetes cluster` (it needs Go)")
    return Path(found)


def _sets(settings: tuple[str, ...]) -> list[str]:
    return [f"--set={each}" for each in settings]
