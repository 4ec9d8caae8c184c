"""The programs we run as a user would: kubectl and helm; how they ended, and where to get one that is missing."""

import asyncio
import shutil
from collections.abc import Sequence

from msgspec import Struct

from osm.cli.output import CommandError

NO_FAILURE = ("warning: ", "use --debug flag")
"""How lines begin that do not say what went wrong; the second is of a flag that our commands have not."""


class Ended(Struct, frozen=True, kw_only=True):
    """How a program ended, and its words."""

    status: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """What it said of its failure, without warnings, its own advice and the prefix that every such error has."""
        said = [line for line in self.err.splitlines() if line.strip() and not line.lower().startswith(NO_FAILURE)]
        return "\n".join(said).removeprefix("Error: ").removeprefix("error: ") or f"exit status {self.status}"


class Program(Struct, frozen=True, kw_only=True):
    """A program on the user's PATH. `needed` says for what, `remedy` where to get it."""

    name: str
    needed: str
    remedy: str

    @property
    def is_there(self) -> bool:
        return shutil.which(self.name) is not None

    def path(self) -> str:
        """Raises CommandError if there is none."""
        found = shutil.which(self.name)
        if found is None:
            raise CommandError(f"{self.name} is not on the PATH: {self.needed}", remedy=self.remedy)
        return found

    async def run(self, arguments: Sequence[str]) -> Ended:
        """Run it to its end; it is interrupted with us. Raises CommandError if there is none."""
        running = await asyncio.create_subprocess_exec(
            self.path(),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await running.communicate()
        except asyncio.CancelledError:
            if running.returncode is None:
                running.terminate()
            await running.wait()
            raise
        words = out.decode(errors="replace"), err.decode(errors="replace")
        return Ended(status=running.returncode or 0, out=words[0], err=words[1])


HELM = Program(
    name="helm",
    needed="it installs and removes the mesh",
    remedy="get helm (one program): brew install helm, or https://helm.sh/docs/intro/install",
)
KUBECTL = Program(
    name="kubectl",
    needed="it forwards ports into the cluster",
    remedy="get kubectl: https://kubernetes.io/docs/tasks/tools",
)
