"""Explicit or isolated: which of the process platform's two modes a mesh has, and the step into the second.

The step is made before anything else is: this program becomes itself once more, inside namespaces of its own, with
the same process id. All that follows, services and workloads alike, finds itself there.
"""

import os
import sys
from typing import Annotated, NoReturn

import typer

from osm.cli.output import CommandError, stderr
from osm.isolation import machine
from osm.isolation.entering import apart
from osm.isolation.making import NetworkFailed, make_common

INSIDE = "OSM_INSIDE"
"""Tells this program that it has made the step. Taken out of the environment at once."""

ModeOption = Annotated[
    bool | None,
    typer.Option(
        "--isolated/--explicit",
        help="isolated: each workload in a network of its own, its traffic redirected to its sidecar as in a pod; "
        "Linux, no root needed. explicit: workloads share the machine's loopback and are told where their sidecars "
        "are.",
        show_default="explicit",
    ),
]


def isolated(ordered: bool | None) -> bool:  # noqa: FBT001  # the option's value
    """Whether this mesh is isolated; if it is to be, this program goes there. Raises CommandError if it cannot."""
    if os.environ.pop(INSIDE, ""):
        _settle()
        return True
    if not ordered:
        return False
    found = machine.obstacle()
    if found is None:
        _go()
    raise CommandError(
        f"a mesh cannot be isolated on this machine: {found.what}",
        remedy=f"{found.remedy}; or leave out --isolated" if found.remedy else "leave out --isolated",
    )


def _go() -> NoReturn:
    """Become this program inside; never comes back."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = apart((sys.executable, *sys.orig_argv[1:]))
    os.execvpe(command[0], command, {**os.environ, INSIDE: "yes"})  # noqa: S606  # no shell: the words are our own


def _settle() -> None:
    """Make the common side of the network. Raises CommandError."""
    os.environ["PATH"] = machine.path()
    try:
        make_common()
    except NetworkFailed as error:
        raise CommandError(f"the mesh's own network could not be made: {error}") from error
    stderr.print("[dim]isolated: every workload in a network of its own, its traffic redirected to its sidecar[/]")
