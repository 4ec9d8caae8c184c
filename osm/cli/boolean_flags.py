"""Boolean flags as OSM's own CLI takes them: `--atomic=true`, `--enforce-single-mesh=false`. Pure.

Ours are `--atomic` and `--no-enforce-single-mesh`; scripts written for OSM go on working. What asks for what is so
anyway is left out: `--enforce-single-mesh`, and `--verbose`, which OSM takes with any command.
"""

import re
from collections.abc import Iterable, Iterator

NEGATABLE = frozenset({"enforce-single-mesh"})
"""Flags that are on by default; of any other, false is what it is anyway."""

SWITCHES = NEGATABLE | {
    *("all", "atomic", "client-only", "delete-cluster-wide-resources", "delete-namespace"),
    *("disable-sidecar-injection", "force", "ingress", "version-only"),
}
"""OSM's flags without a value. Of any other, `true` is a value: a namespace may be called so."""

IDLE = frozenset({"--verbose", "--verbose=true", "--verbose=false"}) | {f"--{flag}" for flag in NEGATABLE}

_SPELLED = re.compile(rf"--({'|'.join(sorted(SWITCHES))})=(true|false)")


def spelled(arguments: Iterable[str]) -> Iterator[str]:
    """The arguments in our spelling; what comes after `--` is left alone."""
    rest = False
    for argument in arguments:
        rest = rest or argument == "--"
        if argument in IDLE and not rest:
            continue
        found = None if rest else _SPELLED.fullmatch(argument)
        if found is None:
            yield argument
        elif found[2] == "false" and found[1] in NEGATABLE:
            yield f"--no-{found[1]}"
        elif found[2] == "true" and found[1] not in NEGATABLE:
            yield f"--{found[1]}"
