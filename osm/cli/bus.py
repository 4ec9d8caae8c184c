"""`osm bus`: the traffic of the bus, the state of its buckets, and the rights of each user."""

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from osm.bus import BusError, Document, nats_keys
from osm.bus.permissions import USERS, render
from osm.cli.bus_state import BucketState, Reader, bucket_states
from osm.cli.client import BusOption, in_cluster, mesh, of_kind, pictures
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.output import CommandError, Format, OutputOption, as_yaml, plain, stdout, structured, table
from osm.cli.run_async import run
from osm.contracts.channels import BUCKETS, PROGRESS

app = typer.Typer(no_args_is_help=True, help="What passes over the bus, how it stands, and who may do what on it.")

WATCH_BODY_CHARS = 160
"""As much of a body as fits under a line; --output json has all of it."""


@app.command()
@on_cluster
def watch(
    buckets: Annotated[list[str] | None, typer.Argument(help="Buckets to watch; all but status by default.")] = None,
    bus: BusOption = None,
    output: Annotated[
        Format, typer.Option("--output", "-o", help="json prints a document a line, yaml a stream of documents.")
    ] = Format.table,
    *,
    once: Annotated[bool, typer.Option("--once", help="Print what is there now and end.")] = False,
    where: ClusterOptions,
) -> None:
    """Show each change: bucket, key, writer, revision, body. Ends with Ctrl-C.

    Example: osm bus watch catalog --once -o json
    """
    chosen = tuple(buckets or (name for name in BUCKETS if name != "status"))
    for name in chosen:
        if name not in BUCKETS:
            raise typer.BadParameter(f"found {name!r}; allowed are {', '.join(BUCKETS)}", param_hint="BUCKETS")
    run(_watch(bus, where, chosen, output, once=once))


async def _watch(
    bus: str | None, where: ClusterOptions, buckets: tuple[str, ...], output: Format, *, once: bool
) -> None:
    waiting = set(buckets)
    async with mesh(bus, where) as connected:
        async for update in connected.watch(*buckets):
            for document in update.documents:
                show(document, output)
            waiting.discard(update.bucket)
            if once and not waiting:
                return


@app.command()
@on_cluster
def check(bus: BusOption = None, output: OutputOption = Format.table, *, where: ClusterOptions) -> None:
    """Show for each bucket whether it is whole, who wrote it, how large it is, and which readers are behind.

    Exit status 1 if a bucket is not synced or holds a document that cannot be decoded. In a cluster nobody writes
    `local`.

    Example: osm bus check
    """
    states = run(_states(bus, where))
    if output is Format.table:
        table(BUCKET_COLUMNS, map(_row, states))
    else:
        structured({"buckets": states}, output)
    nobodys = {"local"} if in_cluster(bus, where) else set()
    if any(state.undecodable or not (state.synced or state.bucket in nobodys) for state in states):
        raise typer.Exit(1)


BUCKET_COLUMNS = ("bucket", "synced", "incarnation", "writer", "revision", "documents", "bytes", "readers behind")


def _row(state: BucketState) -> tuple[Any, ...]:
    if not state.synced:
        return (state.bucket, "no", None, None, None, None, None, None)
    behind = ", ".join(f"{_reader(reader)} {reader.behind}" for reader in state.readers)
    undecodable = f" ({state.undecodable} cannot be decoded)" if state.undecodable else ""
    return (
        *(state.bucket, "yes", state.incarnation or None, state.writer or None, state.revision),
        *(f"{state.documents}{undecodable}", state.size_bytes, behind or None),
    )


def _reader(reader: Reader) -> str:
    """A replica's name mostly begins with its service's."""
    own = reader.replica.startswith(reader.service)
    return reader.replica if own else reader.service


async def _states(bus: str | None, where: ClusterOptions) -> list[BucketState]:
    async with mesh(bus, where) as connected:
        found = await pictures(connected)
    status = found["status"].documents if "status" in found else ()
    return bucket_states(found, of_kind(status, PROGRESS))


@app.command()
def permissions(
    users: Annotated[list[str] | None, typer.Argument(help="Users to print; all by default.")] = None,
) -> None:
    """Print the part of a nats-server configuration that gives each service its user and its rights.

    Passwords are taken from variables, such as OSM_NATS_PASSWORD_XDS, of the server's environment or configuration.

    Example: osm bus permissions > users.conf
    """
    for name in users or ():
        if name not in USERS:
            raise typer.BadParameter(f"found {name!r}; allowed are {', '.join(USERS)}", param_hint="USERS")
    plain(render(tuple(users or USERS)))


@app.command()
def keys(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Where the keys go; made with mode 0700.")],
) -> None:
    """Make each service a key to sign what it writes, and the list of the public ones that everyone reads.

    Keys that are there are kept. Give each service its own key (OSM_NATS_SIGNING_KEY_FILE), all of them the list
    (OSM_NATS_WRITERS_FILE).

    Example: osm bus keys -o keys
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = nats_keys.make_keys(folder)
    except BusError as error:
        raise CommandError(str(error), remedy="move that file away to have it made anew") from error
    except OSError as error:
        raise _not_made(folder, error) from error
    stdout.print(f"keys of {', '.join(nats_keys.OWNERS)} in {folder}; the list is {made}", soft_wrap=True)


def _not_made(folder: Path, error: OSError) -> CommandError:
    what = f"--output {folder}: {error.strerror} ({error.filename})"
    return CommandError(what, remedy="-o FOLDER where you may write")


@app.command()
def credentials(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Where the folders go; made with mode 0700.")],
    trust_domain: Annotated[str, typer.Option(help="Trust domain of the mesh.")] = "cluster.local",
) -> None:
    """Make what a NATS server of one mesh and its users need: certificates, passwords, signing keys.

    A folder for the server's certificate, one with the users' passwords, one for each user. What is there is kept.

    Example: osm bus credentials -o credentials
    """
    from osm.cli.credentials import BadSecret, make_credentials  # noqa: PLC0415  # cryptography, for this alone

    try:
        changed = make_credentials(folder, trust_domain)
    except BadSecret as error:
        raise CommandError(str(error), remedy=f"move it away from {folder} to have it made anew") from error
    except OSError as error:
        raise _not_made(folder, error) from error
    stdout.print(f"credentials in {folder}: {', '.join(changed) or 'all there already'}", soft_wrap=True)


def show(document: Document, output: Format) -> None:
    if output is Format.table:
        verb = "[red]-[/]" if document.deleted else "[green]+[/]"
        writer = document.writer or "?"
        stdout.print(f"{verb} {document.bucket} [bold]{document.key}[/] [dim]by {writer} at {document.revision}[/]")
        body = document.body.decode(errors="replace")
        if document.why:
            stdout.print(f"  [yellow]cannot be decoded:[/] {escape(document.why)}", soft_wrap=True)
        if body:
            short = body if len(body) <= WATCH_BODY_CHARS else body[:WATCH_BODY_CHARS] + "…"
            stdout.print(f"  {short}", markup=False, soft_wrap=True)
        return
    if output is Format.yaml:
        plain(as_yaml(as_data(document), one_of_many=True))
    else:
        plain(msgspec.json.encode(as_data(document)).decode() + "\n")


def as_data(document: Document) -> dict[str, Any]:
    """A document as scripts see it; the body as data if it is JSON."""
    try:
        body = msgspec.json.decode(document.body) if document.body else None
    except msgspec.DecodeError:
        body = document.body.decode(errors="replace")
    return {
        "bucket": document.bucket,
        "key": document.key,
        "deleted": document.deleted,
        "writer": document.writer,
        "revision": document.revision,
        "body": body,
    } | ({"why": document.why} if document.why else {})
