"""Writes /etc/hosts of isolated workloads: every Service, under the names that a cluster's DNS would know.

The text is pure. It is written in place, because the file is mounted over /etc/hosts of programs that run: they see
the file itself, and would go on seeing the old one if another took its name.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from osm.isolation.namespace_commands import Names
from osm.isolation.network import CONTROL_PLANE, HOST, HOST_NAME
from osm.manifests.virtual_ips import ServiceKey
from osm.pki.files import private_folder

HOSTS = "hosts"
"""The folder of the run folder with a file for each namespace: only there a Service is known by its bare name."""


_RESOLVER = "-resolv.conf"
"""No namespace is called so: a name does not begin with a hyphen."""


def files(run_folder: Path, namespace: str) -> Names:
    return Names(hosts=run_folder / HOSTS / namespace, resolver=run_folder / HOSTS / _RESOLVER)


def hosts(namespace: str, services: Mapping[ServiceKey, str]) -> str:
    """The file of a namespace (hosts(5))."""
    lines = ["127.0.0.1 localhost", f"{HOST} {HOST_NAME}"]
    for (where, service), address in sorted(services.items()):
        bare = [service] if where == namespace else []
        full = (f"{service}.{where}", f"{service}.{where}.svc", f"{service}.{where}.svc.cluster.local")
        lines.append(" ".join((address, *bare, *full)))
    return "".join(f"{line}\n" for line in lines)


def write(run_folder: Path, namespaces: Iterable[str], services: Mapping[ServiceKey, str]) -> None:
    """Bring the files of these namespaces up to date. Raises OSError."""
    private_folder(run_folder / HOSTS)
    for namespace in sorted(set(namespaces)):
        found = files(run_folder, namespace)
        _write(found.hosts, hosts(namespace, services))
        _write(found.resolver, f"nameserver {CONTROL_PLANE}\n")


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644), "w") as file:
        file.write(text)
        file.truncate()
