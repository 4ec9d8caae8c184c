"""Problems of a running program that its user must mend: each a sentence with the line to add. Pure."""

import re

from msgspec import Struct

from osm.contracts.problem import Severity
from services.local.plan_types import Program

LISTEN_EVERY_S = 10.0
"""The end of a program's log is read this often, 4 KB of it: whoever misuses the platform says so again and again."""

LISTEN_WITHIN_S = 15.0
"""A program that does not listen after this is told to its user; slow ones get ready all the same."""


class ProgramProblem(Struct, frozen=True, kw_only=True):
    """What the user must change; `field` is a path below the container's."""

    field: str
    what: str
    severity: Severity = "error"


def took_wildcard(program: Program, port: int) -> ProgramProblem:
    what = (
        f"the program listens on 0.0.0.0:{port}, and so on its sidecar's address too; {_bind_there(program)}; "
        "it was stopped, and starts again when the manifest changes"
    )
    return ProgramProblem(field="ports", what=what)


def never_listened(program: Program, why: str) -> ProgramProblem:
    return ProgramProblem(
        field="ports", what=f"{why} after {LISTEN_WITHIN_S:g} s; {_bind_there(program)}", severity="warning"
    )


def why_it_ended(last_words: str, program: Program) -> ProgramProblem | None:
    words = last_words.lower()
    if "address already in use" not in words and "eaddrinuse" not in words and "address in use" not in words:
        return None
    ports = ", ".join(str(each.port) for each in program.listens) or "its port"
    return ProgramProblem(
        field="ports",
        what=f"the program found {ports} taken; a sidecar has that port on another address: {_bind_there(program)}",
    )


def ignores_proxy(words: str, program: Program) -> ProgramProblem | None:
    """Whether the program tried to resolve a Service of the mesh itself, going by its own words.

    The only thing that a program which ignores HTTP_PROXY surely does: the name has no address here, so no connection
    of its own ever shows. Nobody is accused who does not name both the failure and a Service offered to it.
    """
    offered = sorted(name for name, _ in program.platform if name.startswith("OSM_UPSTREAM_"))
    for line in words.splitlines():
        if not _UNRESOLVED.search(line):
            continue
        for host in _SERVICE_HOST.finditer(line):
            prefix = f"OSM_UPSTREAM_{host['namespace']}_{host['service']}_".replace("-", "_").upper()
            if found := next((name for name in offered if name.startswith(prefix)), None):
                return ProgramProblem(field="command", what=_use(host[0], found), severity="warning")
    return None


_UNRESOLVED = re.compile(
    r"name or service not known|no such host|enotfound|eai_again|could not resolve|failed to resolve|unknownhost"
    r"|name resolution|nodename nor servname|failed to lookup address",
    re.IGNORECASE,
)
"""How resolvers and the libraries around them say that a name has no address."""

_SERVICE_HOST = re.compile(r"(?P<service>[a-z0-9][-a-z0-9]*)\.(?P<namespace>[a-z0-9][-a-z0-9]*)(?:\.svc[.a-z]*)?")


def _use(host: str, variable: str) -> str:
    return (
        f"its log says that {host} could not be resolved, so its client does not use HTTP_PROXY; let it, "
        f"or call http://$({variable}), which leads there without a proxy"
    )


def _bind_there(program: Program) -> str:
    host = program.listens[0].host if program.listens else "its own address"
    line = "- {name: BIND_HOST, valueFrom: {fieldRef: {fieldPath: status.podIP}}}"
    return f"let it listen on {host} alone: add `{line}` to its env and use that, or read OSM_BIND_HOST"
