"""helm's arguments for a release of ours, whose name is the mesh's.

No chart is rendered by us: whoever knows helm finds the release under its usual name and can go on by hand.
"""

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct

from osm.cli.kubernetes.cluster_options import ClusterOptions
from osm.cli.kubernetes.program import HELM
from osm.cli.output import CommandError

OLDEST = (3, 14)
"""The first with `--reset-then-reuse-values`, by which an upgrade keeps what was set."""

_VERSION = re.compile(r"v?(\d+)\.(\d+)")
_RELEASE = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,51}[a-z0-9])?")


def mesh_name(given: str) -> str:
    """The name, if it can be a release's, a label's and, in `--set`, one value. Raises typer.BadParameter."""
    if _RELEASE.fullmatch(given):
        return given
    raise typer.BadParameter(f"found {given!r}; allowed are lower-case letters, digits and dashes, at most 53")


MeshNameOption = Annotated[str, typer.Option("--mesh-name", callback=mesh_name, help="The mesh, by its name.")]


class Values(Struct, frozen=True, kw_only=True):
    """What the user sets: files first, single values outweigh them."""

    files: tuple[str, ...] = ()
    single: tuple[str, ...] = ()

    def arguments(self) -> list[str]:
        files = [f"--values={file}" for file in self.files]
        return [*files, *(f"--set={pair}" for pair in self.single)]


class Release(Struct, frozen=True, kw_only=True):
    """A release of ours: its name is the mesh's."""

    mesh: str
    where: ClusterOptions
    chart: Path
    values: Values = Values()
    timeout: str = "5m"
    atomic: bool = False
    reuse: bool = False

    def install(self) -> list[str]:
        return [*self._verb("install"), "--create-namespace", *self._how(), *self.values.arguments()]

    def upgrade(self) -> list[str]:
        """As in OSM, values of before are not carried over unless asked for: what is not given has its default."""
        before = "--reset-then-reuse-values" if self.reuse else "--reset-values"
        return [*self._verb("upgrade"), before, *self._how(), *self.values.arguments()]

    def render(self, kube_version: str = "") -> list[str]:
        """`kube_version`: the Kubernetes that will run it; helm assumes one if it is empty."""
        return [
            *("template", self.mesh, str(self.chart), f"--namespace={self.where.home}", "--include-crds"),
            *([f"--kube-version={kube_version}"] if kube_version else []),
            *self.values.arguments(),
        ]

    def _verb(self, verb: str) -> list[str]:
        return [verb, self.mesh, str(self.chart), f"--namespace={self.where.home}", *self.where.helm()]

    def _how(self) -> list[str]:
        return ["--wait", f"--timeout={self.timeout}", *(["--atomic"] if self.atomic else [])]


def uninstall(mesh: str, where: ClusterOptions, timeout: str) -> list[str]:
    return ["uninstall", mesh, f"--namespace={where.home}", *where.helm(), "--wait", f"--timeout={timeout}"]


async def version() -> tuple[int, int] | None:
    """Major and minor number of the helm on the PATH; None if it does not say, as builds of one's own may not."""
    ended = await HELM.run(["version", "--short"])
    found = None if ended.status else _VERSION.match(ended.out.strip())
    return (int(found[1]), int(found[2])) if found else None


async def release_status(mesh: str, where: ClusterOptions) -> str:
    """Helm's word for the release (`deployed`, `failed`, `pending-install`, …); empty if there is none.

    Raises CommandError if helm cannot tell: that is not the same.
    """
    ended = await HELM.run(["status", mesh, f"--namespace={where.home}", *where.helm(), "--output=json"])
    if ended.status and "not found" in ended.err:
        return ""
    if ended.status:
        what = f"helm cannot tell of a release [{mesh}] in namespace [{where.home}]: {ended.words}"
        raise CommandError(what, remedy=f"helm status {mesh} --namespace {where.home}")
    status: str = json.loads(ended.out).get("info", {}).get("status", "")
    return status
