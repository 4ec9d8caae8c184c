"""The commands that put a program where it belongs: the mesh into its namespaces, a workload's program into its own.

Pure: they are made here and run elsewhere. Each program becomes the next (exec), so that the process that was started
is the program, with the same process id, the same parent and the same leash.
"""

from pathlib import Path

from msgspec import Struct

_NAMES = """
mount --bind "$1" /etc/hosts &&
{ [ ! -e /etc/resolv.conf ] || mount --bind "$2" /etc/resolv.conf; } &&
shift 2 && exec "$@"
"""
"""The hosts file is written in place when services change, so that what is mounted here stays current."""


class Names(Struct, frozen=True, kw_only=True):
    """The files that take the place of /etc/hosts and /etc/resolv.conf."""

    hosts: Path
    resolver: Path


APP_MAY = "net_bind_service"
"""Listen below 1024, as in a pod. Nothing else, and above all neither enter a namespace nor set a mark."""

SIDECAR_MAY = "net_admin"
"""Mark its sockets."""


def apart(command: tuple[str, ...]) -> tuple[str, ...]:
    """`command` in a user, network and mount namespace of its own, where it is root and may make networks."""
    return ("unshare", "--user", "--map-root-user", "--net", "--mount", "--propagation", "private", "--", *command)


def in_space(space: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """`command` in the network namespace at this path."""
    return ("nsenter", f"--net={space}", "--", *command)


def workload(space: str, names: Names, may: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """`command` in the namespace, with these names, and no power but `may`, now or later."""
    powerless = ("setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all,+{may}", "--", *command)
    named = (
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--",
        "sh",
        "-c",
        _NAMES,
        "osm",
        str(names.hosts),
        str(names.resolver),
        *powerless,
    )
    return in_space(space, named)
