"""`osm up`: a folder of manifests as a mesh of processes with sidecars, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from osm.bus import Bus, Document, Update
from osm.cli.find_mesh import program
from osm.cli.machine.isolation_mode import ModeOption, isolated
from osm.cli.machine.run_folder import RunFolder, run_folder
from osm.cli.machine.start import MEMORY, Carrier, CarrierOption, LogLevelOption, ReplicasOption, carrier, started
from osm.cli.output import CommandError, problem_line, stdout
from osm.cli.problem_lines import placed, places
from osm.cli.run_async import run
from osm.contracts.channels import FILE_STATUS, OBJECT_STATUS, PROCESS_STATUS
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import FileStatus, ObjectStatus, ProcessStatus
from osm.runtime.settings import LogLevel

CA_FOLDER = "~/.local/state/osm/ca"
"""Where the root of `osm up` meshes is made once and kept."""

FolderOption = Annotated[
    Path,
    typer.Option("--filename", "-f", help="A folder of manifests, or one file.", exists=True, resolve_path=True),
]


def up(
    folder: FolderOption,
    *,
    name: Annotated[str, typer.Option(help="Tells apart meshes that run at the same time.")] = "mesh",
    ca_folder: Annotated[Path, typer.Option(help="Where the root certificate is kept.")] = Path(CA_FOLDER),
    mode: ModeOption = None,
    bus: CarrierOption = MEMORY,
    replicas: ReplicasOption = "",
    log_level: LogLevelOption = "warning",
) -> None:
    """Run a folder of ordinary manifests as processes, each with an Envoy beside it. Ends with Ctrl-C.

    Deployments run as processes, Services and SMI policies take effect, edits are live at once.

    Example: osm up -f demo/manifests
    """
    carried = carrier(bus, replicas)
    with run_folder(name, line=isolated(mode, carried)) as place:
        run(_up(folder, place, carried, ca_folder.expanduser(), log_level))


async def _up(folder: Path, place: RunFolder, carried: Carrier, ca_folder: Path, log_level: LogLevel) -> None:
    stdout.print(f"mesh from [bold]{folder}[/]; logs in {place.path}")
    stdout.print(f"  {program()} status          what runs, what is invalid and why")
    stdout.print(f"  {program()} proxy list      the sidecars")
    stdout.print(f"  {program()} bus watch       every change as it passes")
    async with started(carried, folder, place, ca_folder=ca_folder, log_level=log_level) as shared:
        await narrate(shared)


async def narrate(bus: Bus) -> None:
    """Say what changes for the user: workloads that become ready or fail, mistakes made and mended. Endless."""
    story = Story()
    async for update in bus.watch("status", states=(OBJECT_STATUS, FILE_STATUS, PROCESS_STATUS)):
        for line in story.take(update):
            stdout.print(line, soft_wrap=True)
    raise CommandError("the mesh has ended")


class Story:
    """What has been said, so that it is said once. Pure."""

    def __init__(self) -> None:
        self._places: dict[ObjectRef, ObjectStatus] = {}
        self._problems: dict[str, tuple[Problem, ...]] = {}
        self._states: dict[str, tuple[str, str]] = {}

    def take(self, update: Update) -> list[str]:
        """The lines to print for an update of the status bucket."""
        self._places.update(places(each.value for each in update.documents if isinstance(each.value, ObjectStatus)))
        return [line for document in update.documents for line in self._tell(document)]

    def _tell(self, document: Document) -> list[str]:
        match document.value:
            case ObjectStatus(problems=found) | FileStatus(problems=found):
                return self._tell_problems(document.key, found)
            case ProcessStatus(workload=workload, state=state, why=why):
                return self._tell_process(document.key, workload, state, why)
            case _:
                self._states.pop(document.key, None)
                return self._tell_problems(document.key, ())

    def _tell_problems(self, key: str, found: tuple[Problem, ...]) -> list[str]:
        before = self._problems.pop(key, ())
        if found:
            self._problems[key] = found
        fresh = [problem_line(placed(problem, self._places)) for problem in found if problem not in before]
        gone = [placed(problem, self._places) for problem in before if problem not in found]
        mended = [f"[green]mended:[/] {escape(str(problem))}" for problem in gone]
        return [*mended, *fresh]

    def _tell_process(self, key: str, workload: str, state: str, why: str) -> list[str]:
        if self._states.get(key) == (state, why):
            return []
        self._states[key] = (state, why)
        colour = {"ready": "green", "failed": "red", "backoff": "red", "unready": "yellow"}.get(state, "dim")
        return [f"[{colour}]{state}[/] {workload}{escape(f': {why}') if why else ''}"]
