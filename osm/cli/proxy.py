"""`osm proxy`: the Envoys of the mesh, and what each of them believes."""

import asyncio
import time
from enum import StrEnum
from typing import Annotated

import msgspec
import typer

from osm.bus import Document
from osm.cli.client import BusOption, mesh, of_kind, picture
from osm.cli.output import CommandError, Format, OutputOption, structured, table
from osm.cli.place import program
from osm.cli.status import PROXY_COLUMNS, proxy_row
from osm.contracts.channels import PROCESS_STATUS, PROXY_ADMIN, PROXY_STATUS
from osm.contracts.status import AdminQuery, AdminReply

app = typer.Typer(no_args_is_help=True, help="The mesh's Envoys, and what each of them believes.")


class Query(StrEnum):
    """What can be asked of a proxy: pages of Envoy's admin interface."""

    clusters = "clusters"
    listeners = "listeners"
    routes = "routes"
    endpoints = "endpoints"
    certs = "certs"
    config_dump = "config_dump"
    stats = "stats"


@app.command("list")
def list_proxies(bus: BusOption = None, output: OutputOption = Format.table) -> None:
    """List the proxies with their identity and sync state.

    Example: osm proxy list -o json
    """
    documents = asyncio.run(_status(bus))
    proxies = of_kind(documents, PROXY_STATUS)
    if output is not Format.table:
        structured(proxies, output)
        return
    processes = {process.workload: process for process in of_kind(documents, PROCESS_STATUS)}
    now_s = time.time()
    table("", PROXY_COLUMNS, (proxy_row(proxy, processes, now_s) for proxy in proxies), empty="no proxy is connected")


@app.command("get")
def get(
    proxy: Annotated[
        str, typer.Argument(help="A proxy's id, as `osm proxy list` shows it; a unique beginning is enough.")
    ],
    query: Annotated[Query, typer.Argument(help="What to ask.")],
    bus: BusOption = None,
    grep: Annotated[str, typer.Option("--filter", help="For stats: a regular expression on the names.")] = "",
    output: OutputOption = Format.table,
) -> None:
    """Show what one Envoy believes. Private keys are redacted by Envoy itself.

    Example: osm proxy get bookbuyer-0.bookbuyer clusters
    """
    reply = asyncio.run(_ask(bus, proxy, query, grep))
    if output is Format.table:
        typer.echo(reply.body.rstrip())
        return
    try:
        structured(msgspec.json.decode(reply.body), output)
    except msgspec.DecodeError:
        structured({"proxy": proxy, query.value: reply.body.splitlines()}, output)


async def _status(bus: str | None) -> tuple[Document, ...]:
    async with mesh(bus) as connected:
        return await picture(connected, "status")


async def _ask(bus: str | None, proxy: str, query: Query, grep: str) -> AdminReply:
    async with mesh(bus) as connected:
        known = [line.workload for line in of_kind(await picture(connected, "status"), PROCESS_STATUS)]
        proxy_id = choose(proxy, known)
        reply = await connected.ask(PROXY_ADMIN, AdminQuery(proxy_id=proxy_id, query=query.value, filter=grep))
    if reply.why:
        raise CommandError(f"proxy {proxy_id}: {reply.why}", remedy=f"{program()} status")
    return reply


def choose(given: str, known: list[str]) -> str:
    """The one proxy that is named so or begins so. Raises CommandError."""
    matching = [given] if given in known else [name for name in known if name.startswith(given)]
    if len(matching) == 1:
        return matching[0]
    allowed = ", ".join(sorted(matching or known)) or "none: no proxy runs"
    raise CommandError(
        f"{given!r} is {'the beginning of several proxies' if matching else 'no proxy'}; there are: {allowed}",
        remedy=f"{program()} proxy list",
        status=2,
    )
