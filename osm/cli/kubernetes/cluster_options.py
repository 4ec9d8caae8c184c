"""The options of every command on a cluster: which cluster, and where in it the control plane lives.

They are given to a command by a decorator, so that they are spelled, explained and completed alike everywhere. As in
OSM: an option outweighs the environment, that outweighs `~/.osm/config.yaml` (or `$OSM_CONFIG`), that the default.
"""

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from msgspec import Struct

from osm.cli.output import CommandError
from osm.contracts.names import ROOT_NAMESPACE

T = TypeVar("T")

CONFIG_VARIABLE = "OSM_CONFIG"
CONFIG_FILE = "~/.osm/config.yaml"
USUAL_KUBECONFIG = "~/.kube/config"
PANEL = "Cluster"


class ClusterOptions(Struct, frozen=True, kw_only=True):
    """A cluster as the user named it; empty fields are what kubectl would take.

    `osm_namespace` is empty if nobody named one; `home` is then the default.
    """

    kubeconfig: str = ""
    context: str = ""
    osm_namespace: str = ""

    @property
    def named(self) -> bool:
        """Whether an option of this command names a cluster."""
        return bool(self.kubeconfig or self.context)

    @property
    def home(self) -> str:
        """The namespace of the control plane."""
        return self.osm_namespace or ROOT_NAMESPACE

    def kubeconfig_files(self) -> str:
        """The files that kubectl would read, whether they are there or not."""
        return self.kubeconfig or os.environ.get("KUBECONFIG") or str(Path(USUAL_KUBECONFIG).expanduser())

    def names_a_cluster(self) -> bool:
        """Whether there is a kubeconfig at all, or this is a pod: looking for a mesh is worth the while."""
        files = self.kubeconfig_files().split(os.pathsep)
        return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) or any(Path(file).is_file() for file in files if file)

    def kubectl(self) -> list[str]:
        """The same cluster in kubectl's options."""
        return [
            *([f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []),
            *([f"--context={self.context}"] if self.context else []),
        ]

    def helm(self) -> list[str]:
        """The same cluster in helm's options."""
        return [
            *([f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []),
            *([f"--kube-context={self.context}"] if self.context else []),
        ]


KUBECONFIG = Annotated[
    str, typer.Option("--kubeconfig", help="A kubeconfig; kubectl's by default.", rich_help_panel=PANEL)
]
CONTEXT = Annotated[
    str,
    typer.Option("--context", help="A context of the kubeconfig; the current one by default.", rich_help_panel=PANEL),
]
OSM_NAMESPACE = Annotated[
    str,
    typer.Option(
        "--osm-namespace",
        envvar="OSM_NAMESPACE",
        help=f"The namespace of the control plane; {ROOT_NAMESPACE} by default.",
        rich_help_panel=PANEL,
    ),
]
OPTIONS: tuple[tuple[str, Any], ...] = (
    ("kubeconfig", KUBECONFIG),
    ("context", CONTEXT),
    ("osm_namespace", OSM_NAMESPACE),
)


def on_cluster(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the options; it gets what they say as its argument `cluster_options`."""
    own = [each for each in inspect.signature(command).parameters.values() if each.name != "where"]

    @functools.wraps(command)
    def with_options(*args: Any, kubeconfig: str, context: str, osm_namespace: str, **kwargs: Any) -> T:
        named = osm_namespace or configured_namespace()
        where = ClusterOptions(kubeconfig=kubeconfig, context=context, osm_namespace=named)
        return command(*args, where=where, **kwargs)

    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default="", annotation=kind) for name, kind in OPTIONS
    ]
    annotations = {each.name: each.annotation for each in (*own, *more)}
    del with_options.__wrapped__
    with_options.__signature__ = inspect.Signature([*own, *more])  # type: ignore[attr-defined]  # as inspect documents
    with_options.__annotations__ = annotations
    return with_options


class _Install(Struct, frozen=True):
    """What is read of the section `install` of OSM's configuration."""

    namespace: str = ""


class _Config(Struct, frozen=True):
    """OSM's configuration file."""

    install: _Install = _Install()


def configured_namespace() -> str:
    """`install.namespace` of OSM's configuration file, or empty. Raises CommandError if the file makes no sense."""
    path = config_path()
    try:
        return msgspec.yaml.decode(path.read_bytes(), type=_Config).install.namespace if path.is_file() else ""
    except (OSError, msgspec.DecodeError) as error:
        raise CommandError(f"{path}: {' '.join(str(error).split())}", remedy=f"mend {path}, or remove it") from error


def config_path() -> Path:
    return Path(os.environ.get(CONFIG_VARIABLE, CONFIG_FILE)).expanduser()
