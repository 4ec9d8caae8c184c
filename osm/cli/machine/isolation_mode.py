"""Explicit or isolated: which of the process platform's two modes a mesh has, and the step into the second.

The step is made before anything else is: this program becomes itself once more, inside namespaces of its own, with
the same process id. All that follows, services and workloads alike, finds itself there.
"""

import os
import sys
from typing import Annotated, NoReturn

import typer
from rich.markup import escape

from osm.cli.machine.start import MEMORY, OWN, Carrier
from osm.cli.output import CommandError, stderr
from osm.isolation import capability, host_sockets
from osm.isolation.capability import Obstacle
from osm.isolation.namespace_commands import apart
from osm.isolation.network_setup import NetworkFailed, make_common

INSIDE = "OSM_INSIDE"
"""Tells this program that it has made the step, and the descriptor of its line to the process outside. Taken out of
the environment at once."""

ModeOption = Annotated[
    bool | None,
    typer.Option(
        "--isolated/--explicit",
        help="isolated: each workload in a network of its own, its traffic redirected to its sidecar as in a pod; "
        "Linux, no root needed. explicit: workloads share the machine's loopback and are told where their sidecars "
        "are. Without an order: isolated, where this machine allows it.",
        show_default=False,
    ),
]


def isolated(ordered: bool | None, carried: Carrier) -> int | None:  # noqa: FBT001  # the option's value
    """The line to the process outside if this mesh is isolated, else None.

    If it is to be and this program is not there yet, it goes there, and begins anew. Raises CommandError if it cannot.
    """
    line = os.environ.pop(INSIDE, "")
    if line:
        _settle()
        os.set_inheritable(int(line), False)  # noqa: FBT003  # its only way to be called
        return int(line)
    if ordered is False:
        return None
    found = _far_bus(carried) or capability.obstacle()
    if found is None:
        _go()
    if ordered:
        raise CommandError(
            f"a mesh cannot be isolated on this machine: {found.what}",
            remedy=f"{found.remedy}; or leave out --isolated" if found.remedy else "leave out --isolated",
        )
    stderr.print(f"[dim]explicit: workloads share this machine's loopback, for {escape(found.what)}[/]")
    return None


def _far_bus(carried: Carrier) -> Obstacle | None:
    if carried.where in (MEMORY, OWN):
        return None
    return Obstacle(what="its services could not reach a bus that is elsewhere", remedy=f"use --bus {OWN}")


def _go() -> NoReturn:
    """Become this program inside; never comes back."""
    sys.stdout.flush()
    sys.stderr.flush()
    line, _ = host_sockets.start()
    os.set_inheritable(line.fileno(), True)  # noqa: FBT003  # its only way to be called
    command = apart((sys.executable, *sys.orig_argv[1:]))
    os.execvpe(command[0], command, {**os.environ, INSIDE: str(line.fileno())})  # noqa: S606  # no shell: the words are our own


def _settle() -> None:
    """Make the common side of the network. Raises CommandError."""
    os.environ["PATH"] = capability.path()
    try:
        make_common()
    except NetworkFailed as error:
        raise CommandError(f"the mesh's own network could not be made: {error}") from error
    stderr.print("[dim]isolated: every workload in a network of its own, its traffic redirected to its sidecar[/]")
