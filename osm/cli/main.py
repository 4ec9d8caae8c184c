"""The command tree, and how every command ends: 0 done, 1 not as asked, 2 asked wrongly, 130 interrupted,
141 when nobody reads on."""

import os
import sys
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from osm.cli import bus, policy, proxy
from osm.cli.boolean_flags import spelled
from osm.cli.check_pods import check_pods
from osm.cli.completion import completion
from osm.cli.demo.entry import demo
from osm.cli.kubernetes import bug_report, mesh, metrics, namespace, uninstall
from osm.cli.kubernetes.check import check
from osm.cli.kubernetes.install import install
from osm.cli.kubernetes.prepare import prepare
from osm.cli.kubernetes.verify import command as verify
from osm.cli.kubernetes.version import env, version
from osm.cli.machine import up
from osm.cli.output import CommandError, fail, plain, reader_left
from osm.cli.status import status
from osm.cli.wait import wait
from osm.runtime import logging
from osm.runtime.service import ServiceFailed

app = typer.Typer(
    name="osm",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="A light service mesh for Envoy: the successor of Open Service Mesh.",
    epilog="Try: **osm demo** here, or **osm check --pre** and **osm install** on a cluster",
    pretty_exceptions_enable=False,
)
HERE, ANY, CLUSTER = "On this machine", "Any mesh", "On Kubernetes"

app.command("demo", rich_help_panel=HERE)(demo)
app.command("up", rich_help_panel=HERE)(up.up)

app.command("status", rich_help_panel=ANY)(status)
app.command("wait", rich_help_panel=ANY)(wait)
app.add_typer(proxy.app, name="proxy", rich_help_panel=ANY)
policy.app.command("check-pods")(check_pods)
app.add_typer(policy.app, name="policy", rich_help_panel=ANY)
app.add_typer(bus.app, name="bus", rich_help_panel=ANY)
app.command("version", rich_help_panel=ANY)(version)
app.command("env", rich_help_panel=ANY)(env)
app.command("completion", rich_help_panel=ANY)(completion)

app.command("install", rich_help_panel=CLUSTER)(install)
app.command("check", rich_help_panel=CLUSTER)(check)
app.add_typer(namespace.app, name="namespace", rich_help_panel=CLUSTER)
app.add_typer(namespace.app, name="ns", hidden=True)
app.add_typer(mesh.app, name="mesh", rich_help_panel=CLUSTER)
app.add_typer(metrics.app, name="metrics", rich_help_panel=CLUSTER)
app.add_typer(verify.app, name="verify", rich_help_panel=CLUSTER)
app.add_typer(bug_report.app, name="support", rich_help_panel=CLUSTER)
app.add_typer(uninstall.app, name="uninstall", rich_help_panel=CLUSTER)
app.add_typer(uninstall.app, name="delete", hidden=True)
app.add_typer(uninstall.app, name="del", hidden=True)
app.command("prepare", hidden=True)(prepare)


@app.callback()
def options(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=lambda asked: _print_version(asked=asked)
        ),
    ] = False,
) -> None:
    """Options before the command."""


def _print_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"osm {installed_version('osm')}")
        raise typer.Exit


def main() -> None:
    """The `osm` program."""
    logging.set_up("error")  # what a command has to say is not a log
    # gRPC otherwise says a line of its own for every workload's process that is forked beside it.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    try:
        app(args=list(spelled(sys.argv[1:])))
    except CommandError as error:
        fail(error)
    except ServiceFailed as error:
        fail(CommandError(f"the mesh has ended: {error}", remedy="--log-level info shows more"))
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # so Typer ends with 1 if nobody reads its help
            reader_left()
        raise
    finally:
        plain()  # else Python does it, and complains if nobody reads
