"""`osm completion`: the script that teaches a shell the commands and options, as OSM's CLI prints it.

`--install-completion` and `--show-completion` look for the shell that they are called from; here it is named, which
is what a script, a container or an administrator needs.
"""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import (  # type: ignore[attr-defined]  # typer uses it from there as well
    get_completion_script,
)


class Shell(StrEnum):
    """The shells that there is a script for."""

    bash = "bash"
    zsh = "zsh"
    fish = "fish"
    powershell = "powershell"


def completion(shell: Annotated[Shell, typer.Argument(help="The shell that is to read it.")]) -> None:
    """Print the script that completes commands and options in a shell.

    Example: osm completion bash > /etc/bash_completion.d/osm
    """
    typer.echo(get_completion_script(prog_name="osm", complete_var="_OSM_COMPLETE", shell=shell.value))
