"""What a user must change of a program, seen while it runs: each a sentence with the line to add. Pure."""

from msgspec import Struct

from osm.contracts.problem import Severity
from services.local.planned import Program

LISTEN_WITHIN_S = 15.0
"""A program that does not listen after this is told to its user; slow ones get ready all the same."""


class Trouble(Struct, frozen=True, kw_only=True):
    """What the user must change; `field` is a path below the container's."""

    field: str
    what: str
    severity: Severity = "error"


def took_wildcard(program: Program, port: int) -> Trouble:
    what = (
        f"the program listens on 0.0.0.0:{port}, and so on its sidecar's address too; {_bind_there(program)}; "
        "it was stopped, and starts again when the manifest changes"
    )
    return Trouble(field="ports", what=what)


def never_listened(program: Program, why: str) -> Trouble:
    return Trouble(field="ports", what=f"{why} after {LISTEN_WITHIN_S:g} s; {_bind_there(program)}", severity="warning")


def why_it_ended(last_words: str, program: Program) -> Trouble | None:
    words = last_words.lower()
    if "address already in use" not in words and "eaddrinuse" not in words and "address in use" not in words:
        return None
    ports = ", ".join(str(each.port) for each in program.listens) or "its port"
    return Trouble(
        field="ports",
        what=f"the program found {ports} taken; a sidecar has that port on another address: {_bind_there(program)}",
    )


def _bind_there(program: Program) -> str:
    host = program.listens[0].host if program.listens else "its own address"
    line = "- {name: BIND_HOST, valueFrom: {fieldRef: {fieldPath: status.podIP}}}"
    return f"let it listen on {host} alone: add `{line}` to its env and use that, or read OSM_BIND_HOST"
