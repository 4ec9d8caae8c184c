"""kubeconfig files → where the cluster is and how its user logs in, as kubectl reads them. Pure.

Of several files the first that says something is believed. What is meant by a file in it is relative to the
kubeconfig it stands in.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import Struct, field

from osm.k8s.errors import NoCluster


class Variable(Struct, frozen=True):
    """Of a program's environment."""

    name: str
    value: str = ""


class Program(Struct, frozen=True, rename="camel"):
    """What is run to log in (client.authentication.k8s.io)."""

    api_version: str
    command: str
    args: tuple[str, ...] | None = None
    env: tuple[Variable, ...] | None = None
    install_hint: str = ""
    provide_cluster_info: bool = False


class User(Struct, frozen=True, rename="kebab"):
    """How to log in."""

    token: str = ""
    token_file: str = field(name="tokenFile", default="")
    client_certificate: str = ""
    client_certificate_data: str = ""
    client_key: str = ""
    client_key_data: str = ""
    username: str = ""
    password: str = ""
    exec: Program | None = None
    auth_provider: Any = None
    impersonated: str = field(name="as", default="")


class Server(Struct, frozen=True, rename="kebab"):
    """Where the cluster is, and how it is known."""

    server: str
    certificate_authority: str = ""
    certificate_authority_data: str = ""
    insecure_skip_tls_verify: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""


class Context(Struct, frozen=True):
    """A user at a cluster."""

    cluster: str
    user: str = ""


class _Named(Struct, frozen=True):
    name: str
    cluster: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    user: dict[str, Any] | None = None


class _File(Struct, frozen=True, rename="kebab"):
    current_context: str | None = None
    clusters: tuple[_Named, ...] | None = None
    contexts: tuple[_Named, ...] | None = None
    users: tuple[_Named, ...] | None = None


class Login(Struct, frozen=True, kw_only=True):
    """One user at one cluster, and the folders that file names in either are relative to."""

    server: Server
    server_folder: Path
    user: User
    user_folder: Path


T = TypeVar("T", Server, Context, User)


def read(texts: Mapping[Path, str], context: str = "") -> Login:
    """The login of `context`, else of the current one; `texts` are the files in their order.

    Raises NoCluster.
    """
    files = {path: _file(path, text) for path, text in texts.items()}
    wanted = context or next((file.current_context for file in files.values() if file.current_context), "")
    if not wanted:
        raise NoCluster(f"kubeconfig {_names(texts)}: no current-context; name one with --context")
    found, _ = _find(files, "contexts", "context", wanted, Context)
    server, server_folder = _find(files, "clusters", "cluster", found.cluster, Server)
    user, folder = _find(files, "users", "user", found.user, User) if found.user else (User(), server_folder)
    if user.impersonated:
        raise NoCluster(f"kubeconfig {_names(texts)}: user {found.user} acts as another, which is not supported")
    return Login(server=server, server_folder=server_folder, user=user, user_folder=folder)


def _file(path: Path, text: str) -> _File:
    try:
        return msgspec.convert(yaml.safe_load(text) or {}, _File)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise NoCluster(f"kubeconfig {path}: {' '.join(str(error).split())}") from error  # YAML's have several lines


def _find(files: Mapping[Path, _File], section: str, field_: str, name: str, kind: type[T]) -> tuple[T, Path]:
    """The entry and the folder of its file."""
    for path, file in files.items():
        for entry in getattr(file, section) or ():
            if entry.name == name:
                try:
                    said = {key: value for key, value in (getattr(entry, field_) or {}).items() if value is not None}
                    return msgspec.convert(said, kind), path.parent
                except msgspec.ValidationError as error:
                    raise NoCluster(f"kubeconfig {path}: {field_} {name}: {error}") from error
    there = sorted({entry.name for file in files.values() for entry in getattr(file, section) or ()})
    raise NoCluster(f'kubeconfig {_names(files)}: no {field_} "{name}", there are {", ".join(there) or "none"}')


def _names(files: Mapping[Path, object]) -> str:
    return ", ".join(map(str, files))
