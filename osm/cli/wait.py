"""`osm wait`: until what a user wrote is in force at every proxy; or why it is not."""

import asyncio
import re
from typing import Annotated

import typer
from msgspec import Struct, structs

from osm.bus import Update
from osm.cli.awaited import InForce, NotYet, Refused, verdict
from osm.cli.client import BusOption, mesh, pods_by_proxy
from osm.cli.kubernetes.where import Where, on_cluster
from osm.cli.output import CommandError, Format, OutputOption, stdout, structured
from osm.cli.place import program

TIMED_OUT = 124
"""As timeout(1) says it."""

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@on_cluster
def wait(
    kind: Annotated[str, typer.Argument(help="The object's kind, such as traffictarget or Service.")],
    name: Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The object; without a namespace: NAME.")],
    bus: BusOption = None,
    timeout: Annotated[str, typer.Option(help="How long, such as 30s or 2m.")] = "30s",
    output: OutputOption = Format.table,
    *,
    where: Where,
) -> None:
    """Wait until an object, as the mesh has read it, is acknowledged by every proxy.

    Exit status 0 once it is; 1 if it is invalid or a proxy has rejected it, with the reason; 124 if time is over,
    with who is behind.

    Example: osm wait traffictarget bookstore/bookstore --timeout 10s
    """
    namespace, _, own_name = name.rpartition("/")
    found = _named(
        bus, where, asyncio.run(_wait(bus, where, kind, namespace=namespace, name=own_name, timeout_s=seconds(timeout)))
    )
    if output is not Format.table:
        structured(found, output)
    elif isinstance(found, InForce):
        stdout.print(f"{found.subject} is in force at {found.proxies} proxies (generation {found.generation})")
    _end(found, f"{kind} {name}", timeout)


def _named(bus: str | None, where: Where, found: InForce | Refused | NotYet) -> InForce | Refused | NotYet:
    """Who is behind, by the names that people know."""
    if not isinstance(found, NotYet) or not found.behind:
        return found
    pods = asyncio.run(pods_by_proxy(bus, where))
    return structs.replace(found, behind=tuple(pods.get(proxy, proxy) for proxy in found.behind))


def _end(found: InForce | Refused | NotYet, what: str, timeout: str) -> None:
    match found:
        case Refused(subject=subject, reasons=reasons):
            raise CommandError(f"{subject} is not in force: " + "; ".join(reasons), remedy=f"{program()} status")
        case NotYet(why=why, behind=behind):
            late = f" ({', '.join(behind)})" if behind else ""
            raise CommandError(
                f"{what} is not in force after {timeout}: {why}{late}", remedy=f"{program()} status", status=TIMED_OUT
            )


async def _wait(
    bus: str | None, where: Where, kind: str, *, namespace: str, name: str, timeout_s: float
) -> InForce | Refused | NotYet:
    found: InForce | Refused | NotYet = NotYet(why="the mesh has said nothing yet")
    lines: dict[str, Struct] = {}
    async with mesh(bus, where) as connected:
        try:
            async with asyncio.timeout(timeout_s):
                async for update in connected.watch("status"):
                    _note(lines, update)
                    found = verdict(kind, namespace, name, lines)
                    if not isinstance(found, NotYet):
                        return found
        except TimeoutError:
            return found
    return found


def _note(lines: dict[str, Struct], update: Update) -> None:
    if update.full:
        lines.clear()
    for document in update.documents:
        if document.value is not None:
            lines[document.key] = document.value
        elif document.deleted:
            lines.pop(document.key, None)


def seconds(text: str) -> float:
    """`30s`, `500ms`, `2m`, `1h`, or a plain number of seconds. Raises typer.BadParameter."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)?", text)
    if found is None:
        raise typer.BadParameter(f"found {text!r}, allowed are such as 500ms, 30s, 2m, 1h", param_hint="--timeout")
    return float(found[1]) * _UNITS_S[found[2] or "s"]
