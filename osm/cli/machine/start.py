"""How a command starts a mesh: all services in this process, or each in its own over NATS, by the same two options.

Whoever asked gets a bus and need not know which. Imports are made where they are needed: `--help` needs none.
"""

import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, get_args

import typer
from msgspec import Struct

from osm.bus import Bus
from osm.cli.command_error import CommandError
from osm.cli.machine.authority_choice import authority_choice
from osm.cli.machine.process_specs import BadReplicas, Wanted, read_replicas
from osm.cli.machine.run_folder import RunFolder
from osm.cli.nats_access import NatsAccess
from osm.isolation.outbound_relay import way_out
from osm.runtime.settings import BadSetting, LogLevel

MEMORY, OWN = "memory", "nats"
SCHEMES = ("nats://", "tls://")

CarrierOption = Annotated[
    str,
    typer.Option(
        "--bus",
        "--nats",
        metavar="memory|nats|URL",
        help="memory: all in this process. nats: a process per service over a nats-server of its own. "
        "nats://host:port or tls://host:port: the same over a server that runs, credentials from variables, "
        "such as OSM_NATS_CA_FILE.",
    ),
]

ReplicasOption = Annotated[
    str,
    typer.Option(metavar="SERVICE=N", help="Over NATS: processes of a service, such as xds=2,catalog=2."),
]

LogLevelOption = Annotated[
    LogLevel,
    typer.Option(
        metavar="LEVEL", help=f"How much the services log, in the run folder: {', '.join(get_args(LogLevel))}."
    ),
]


class Carrier(Struct, frozen=True, kw_only=True):
    """What carries the bus, and how many processes of which service share the work."""

    where: str = MEMORY
    replicas: Mapping[str, int] = {}


def carrier(where: str, replicas: str) -> Carrier:
    """The options' meaning. Raises typer.BadParameter."""
    if where not in (MEMORY, OWN) and not where.startswith(SCHEMES):
        raise typer.BadParameter(
            f"found {where!r}; allowed are {MEMORY}, {OWN}, nats://host:port, tls://host:port", param_hint="--bus"
        )
    try:
        found = read_replicas(replicas)
    except BadReplicas as error:
        raise typer.BadParameter(str(error), param_hint="--replicas") from error
    if found and where == MEMORY:
        raise typer.BadParameter("one process cannot have replicas; add --bus nats", param_hint="--replicas")
    return Carrier(where=where, replicas=found)


@asynccontextmanager
async def started(
    carried: Carrier,
    folder: Path,
    place: RunFolder,
    *,
    ca_folder: Path,
    log_level: LogLevel,
    proxy_lifetime_s: int = 86400,
) -> AsyncIterator[Bus]:
    """Run the folder's mesh while the context is open. Raises what `mesh.embedded` and `separate_processes` raise."""
    async with AsyncExitStack() as stack:
        if place.line is not None:
            await stack.enter_async_context(way_out(socket.socket(fileno=place.line)))
        if carried.where == MEMORY:
            from osm.cli.machine.mesh import embedded, observed_in  # noqa: PLC0415  # half a second that `--help` does not need

            eyes = stack.enter_context(observed_in(place.path, log_level))
            mesh = embedded(
                folder,
                place,
                eyes,
                ca_folder=ca_folder,
                proxy_lifetime_s=proxy_lifetime_s,
                authority=authority_choice(os.environ),
            )
            try:
                bus = await stack.enter_async_context(mesh)
            except BadSetting as error:
                raise CommandError(str(error)) from error
            yield bus
            return
        from osm.cli.machine.separate_processes import logged_in, separate_processes  # noqa: PLC0415  # as above

        wanted = Wanted(
            folder=folder,
            ca_folder=ca_folder,
            proxy_lifetime_s=proxy_lifetime_s,
            log_level=log_level,
            replicas=carried.replicas,
            authority=authority_choice(os.environ),
        )
        stack.enter_context(logged_in(place.path, log_level))
        reach = None if carried.where == OWN else NatsAccess.told(carried.where, os.environ)
        separate = await stack.enter_async_context(separate_processes(reach, wanted, place))
        yield separate.bus
