"""`osm wait`: until what a user wrote is in force at every proxy; or why it is not."""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Annotated

import typer
from msgspec import Struct, structs

from osm.bus import Update
from osm.cli.client import BusOption, mesh, pods_by_proxy
from osm.cli.find_mesh import program
from osm.cli.in_force import InForce, NotYet, Refused, Verdict, sentence, verdict
from osm.cli.kinds import KINDS, means
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.output import CommandError, Format, OutputOption, stdout, structured
from osm.cli.run_async import run
from osm.manifests.wording import nearest, shown

TIMED_OUT = 124
"""As timeout(1) says it."""

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@on_cluster
def wait(
    kind: Annotated[str, typer.Argument(help="The object's kind, such as traffictarget or Service.")],
    name: Annotated[str, typer.Argument(metavar="NAMESPACE/NAME", help="The object.")],
    *,
    bus: BusOption = None,
    proxies: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="At least so many proxies must have it."),
    ] = 0,
    timeout: Annotated[str, typer.Option(help="How long, such as 30s or 2m.")] = "30s",
    output: OutputOption = Format.table,
    where: ClusterOptions,
) -> None:
    """Wait until an object, as the mesh has read it, is acknowledged by every proxy that is connected.

    Exit status 0 once it is, even if no proxy is connected at all: --proxies N waits for that many. 1 if it is invalid
    or a proxy has rejected it, with the reason; 124 if time is over, with who is behind.

    Example: osm wait trafficsplit bookstore/bookstore-split --proxies 2 --timeout 10s
    """
    namespace, own_name = waited_for(kind, name)

    def judge(lines: Mapping[str, Struct]) -> Verdict:
        return verdict(kind, namespace, own_name, lines, proxies=proxies)

    found = _named(bus, where, run(_wait(bus, where, judge, seconds(timeout))))
    if output is not Format.table:
        structured(found, output)
    elif isinstance(found, InForce):
        stdout.print(sentence(found))
    _end(found, f"{kind} {name}", timeout)


def waited_for(kind: str, name: str) -> tuple[str, str]:
    """Namespace and name. Raises typer.BadParameter if no such object will ever be in force, so that nobody waits."""
    if not any(means(kind, each) for each in KINDS):
        what = f"found {shown(kind)}; proxies are told of policies and Services: {nearest(kind, KINDS)}"
        raise typer.BadParameter(what, param_hint="KIND")
    namespace, _, own_name = name.partition("/")
    if not (namespace and own_name) or "/" in own_name:
        what = f"found {shown(name)}, allowed is its namespace and its name, such as bookstore/bookstore-split"
        raise typer.BadParameter(what, param_hint="NAMESPACE/NAME")
    return namespace, own_name


def _named(bus: str | None, where: ClusterOptions, found: Verdict) -> Verdict:
    """Who is behind, by the names that people know."""
    if not isinstance(found, NotYet) or not found.behind:
        return found
    pods = run(pods_by_proxy(bus, where))
    return structs.replace(found, behind=tuple(pods.get(proxy, proxy) for proxy in found.behind))


def _end(found: Verdict, what: str, timeout: str) -> None:
    match found:
        case Refused(subject=subject, reasons=reasons):
            raise CommandError(f"{subject} is not in force: " + "; ".join(reasons), remedy=f"{program()} status")
        case NotYet(why=why, behind=behind):
            late = f" ({', '.join(behind)})" if behind else ""
            raise CommandError(
                f"{what} is not in force after {timeout}: {why}{late}", remedy=f"{program()} status", status=TIMED_OUT
            )


async def _wait(
    bus: str | None, where: ClusterOptions, judge: Callable[[Mapping[str, Struct]], Verdict], timeout_s: float
) -> Verdict:
    found: Verdict = NotYet(why="the mesh has said nothing yet")
    lines: dict[str, Struct] = {}
    async with mesh(bus, where) as connected:
        try:
            async with asyncio.timeout(timeout_s):
                async for update in connected.watch("status"):
                    _note(lines, update)
                    found = judge(lines)
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
