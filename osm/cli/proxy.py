"""`osm proxy`: the Envoys of the mesh, and the configuration that each of them has."""

import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from osm.cli.client import BusOption, in_cluster, mesh, of_kind, picture
from osm.cli.find_mesh import program
from osm.cli.kubernetes import sidecar
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.output import CommandError, Format, OutputOption, structured
from osm.cli.run_async import run
from osm.cli.status import print_proxies, read
from osm.contracts.channels import PROCESS_STATUS, PROXY_ADMIN, PROXY_STATUS
from osm.contracts.status import AdminQuery, AdminReply

app = typer.Typer(no_args_is_help=True, help="The mesh's Envoys, and what each of them believes.")

ANSWER_WITHIN_S = 15.0
"""Whoever asks the Envoy for us gives it ten."""


class Query(StrEnum):
    """What can be asked of any proxy. A pod's sidecar answers some pages more, by Envoy's own names for them."""

    clusters = "clusters"
    listeners = "listeners"
    routes = "routes"
    endpoints = "endpoints"
    certs = "certs"
    config_dump = "config_dump"
    stats = "stats"


@app.command("list")
@on_cluster
def list_proxies(bus: BusOption = None, output: OutputOption = Format.table, *, where: ClusterOptions) -> None:
    """List the proxies with their identity and sync state.

    Example: osm proxy list -o json
    """
    documents, pods = run(read(bus, where))
    proxies = of_kind(documents, PROXY_STATUS)
    if output is not Format.table:
        structured(proxies, output)
        return
    print_proxies(proxies, of_kind(documents, PROCESS_STATUS), pods, time.time())


@app.command("get")
@on_cluster
def get(
    query: Annotated[
        str,
        typer.Argument(help=f"What to ask: {', '.join(Query)}; of a pod any page that Envoy serves, such as ready."),
    ],
    proxy: Annotated[
        str,
        typer.Argument(
            metavar="POD", help="A pod, or NAMESPACE/POD; of a mesh of processes a proxy's id or how it begins."
        ),
    ],
    *,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="The pod's namespace.")] = "default",
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Write there instead of printing.")] = None,
    local_port: Annotated[
        int,
        typer.Option(
            *("--local-port", "-p"),
            show_default=False,
            help="The port of this machine to go through; any free one by default.",
        ),
    ] = 0,
    bus: BusOption = None,
    grep: Annotated[str, typer.Option("--filter", help="For stats: a regular expression on the names.")] = "",
    output: OutputOption = Format.table,
    where: ClusterOptions,
) -> None:
    """Show what one Envoy believes. Private keys are redacted by Envoy itself.

    Example: osm proxy get clusters bookbuyer-7d4b9c6f5-x2x8q -n bookbuyer
    """
    if in_cluster(bus, where):
        own, _, proxy = proxy.rpartition("/")
        namespace = own or namespace
        said = run(sidecar.page(where, namespace, proxy, query, names=grep, local_port=local_port))
    else:
        said = run(_ask(bus, where, proxy, _known(query, proxy), grep)).body
    text = said.rstrip() + "\n"
    if file is not None:
        _write(file, text)
    elif output is Format.table:
        typer.echo(text, nl=False)
    else:
        _print(text, query, proxy, output)


def _known(query: str, proxy: str) -> Query:
    """Raises typer.BadParameter, with a word on the order for whoever has the two the wrong way round."""
    if query in set(Query):
        return Query(query)
    order = f"; the query comes first: {program()} proxy get {proxy} {query}" if proxy in set(Query) else ""
    raise typer.BadParameter(f"found {query!r}; allowed are {', '.join(Query)}{order}", param_hint="QUERY")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", remedy="-f FILE in a folder that can be written") from error


def _print(text: str, query: str, proxy: str, output: Format) -> None:
    try:
        structured(msgspec.json.decode(text), output)
    except msgspec.DecodeError:
        structured({"proxy": proxy, query: text.splitlines()}, output)


async def _ask(bus: str | None, where: ClusterOptions, proxy: str, query: Query, grep: str) -> AdminReply:
    async with mesh(bus, where) as connected:
        known = [line.workload for line in of_kind(await picture(connected, "status"), PROCESS_STATUS)]
        proxy_id = choose(proxy, known)
        question = AdminQuery(proxy_id=proxy_id, query=query.value, filter=grep)
        reply = await connected.ask(PROXY_ADMIN, question, timeout_s=ANSWER_WITHIN_S)
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
