"""`osm demo`, as far as its options: what it does is `command`'s, and imported only when it is asked for."""

from typing import Annotated

import typer

from osm.cli.machine.isolation_mode import ModeOption, isolated
from osm.cli.machine.run_folder import run_folder
from osm.cli.machine.start import MEMORY, CarrierOption, LogLevelOption, ReplicasOption, carrier
from osm.cli.output import Format, OutputOption


def demo(
    *,
    check_it: Annotated[bool, typer.Option("--check", help="Prove every claim without a person, then end.")] = False,
    output: OutputOption = Format.table,
    name: Annotated[str, typer.Option(help="Tells apart meshes that run at the same time.")] = "demo",
    mode: ModeOption = None,
    bus: CarrierOption = MEMORY,
    replicas: ReplicasOption = "",
    log_level: LogLevelOption = "warning",
) -> None:
    """Run the bookstore mesh on this machine, live, each app a process with a real Envoy beside it.

    Keys admit the thief, shift the split, switch permissive mode, kill a bookstore. Ctrl-C leaves nothing behind.

    Example: osm demo --check -o json
    """
    from osm.cli.demo.command import perform  # noqa: PLC0415  # half a second that `--help` does not need

    if output is not Format.table and not check_it:
        raise typer.BadParameter(f"{output.value} is for --check; without it people watch", param_hint="--output")
    carried = carrier(bus, replicas)
    with run_folder(name, line=isolated(mode, carried)) as place:
        raise typer.Exit(perform(place, carried, log_level, output, check_it=check_it))
