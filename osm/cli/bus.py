"""`osm bus`: what passes over the bus, as it passes."""

import asyncio
import sys
from typing import Annotated, Any

import msgspec
import typer

from osm.bus import Document
from osm.cli.client import BusOption, mesh
from osm.cli.output import Format, stdout
from osm.contracts.channels import BUCKETS

app = typer.Typer(no_args_is_help=True, help="What passes over the bus.")

WATCH_BODY_CHARS = 160
"""As much of a body as fits under a line; --output json has all of it."""


@app.command()
def watch(
    buckets: Annotated[list[str] | None, typer.Argument(help="Buckets to watch; all but status by default.")] = None,
    bus: BusOption = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="json prints a document a line.")] = Format.table,
    *,
    once: Annotated[bool, typer.Option("--once", help="Print what is there now and end.")] = False,
) -> None:
    """Show each change: bucket, key, writer, revision, body. Ends with Ctrl-C.

    Example: osm bus watch catalog --once -o json
    """
    chosen = tuple(buckets or (name for name in BUCKETS if name != "status"))
    for name in chosen:
        if name not in BUCKETS:
            raise typer.BadParameter(f"found {name!r}; allowed are {', '.join(BUCKETS)}", param_hint="BUCKETS")
    try:
        asyncio.run(_watch(bus, chosen, output, once=once))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _watch(bus: str | None, buckets: tuple[str, ...], output: Format, *, once: bool) -> None:
    waiting = set(buckets)
    async with mesh(bus) as connected:
        async for update in connected.watch(*buckets):
            for document in update.documents:
                _print(document, output)
            sys.stdout.flush()
            waiting.discard(update.bucket)
            if once and not waiting:
                return


def _print(document: Document, output: Format) -> None:
    if output is Format.table:
        verb = "[red]-[/]" if document.deleted else "[green]+[/]"
        writer = document.writer or "?"
        stdout.print(f"{verb} {document.bucket} [bold]{document.key}[/] [dim]by {writer} at {document.revision}[/]")
        body = document.body.decode(errors="replace")
        if document.why:
            stdout.print(f"  [yellow]cannot be decoded:[/] {document.why}", soft_wrap=True)
        if body:
            short = body if len(body) <= WATCH_BODY_CHARS else body[:WATCH_BODY_CHARS] + "…"
            stdout.print(f"  {short}", markup=False, soft_wrap=True)
        return
    sys.stdout.write(msgspec.json.encode(as_data(document)).decode() + "\n")


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
