"""The processes of a mesh over NATS: which there are, and the command and environment of each.

It starts nothing: `separate_processes` does. All it takes from this process is which Python runs it.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from osm.cli.machine.run_folder import RunFolder
from osm.cli.nats_access import NatsAccess

SERVICES = ("meshspec", "endpoints", "catalog", "certmgr", "xds", "local")
"""In the order in which they are started; each waits for what it needs, so any order would do."""

ALONE = ("local",)
"""Services of which one process serves a machine; a second would only wait."""

MOST_REPLICAS = 9


class BadReplicas(ValueError):
    """`--replicas` says something else than how many of which service; the message says what is allowed."""


class ProcessSpec(Struct, frozen=True, kw_only=True):
    """One process: `name` is its own among all (`xds-0`), `command` and `environment` are what it is started with."""

    name: str
    service: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


class Wanted(Struct, frozen=True, kw_only=True):
    """What the mesh shall be, whichever processes make it."""

    folder: Path
    ca_folder: Path
    proxy_lifetime_s: int
    log_level: str = "warning"
    replicas: Mapping[str, int] = {}
    authority: Mapping[str, str] = {}
    """certmgr's variables that say who issues certificates, whole."""


def process_specs(
    wanted: Wanted, run: RunFolder, reach: NatsAccess, machine: Mapping[str, str]
) -> tuple[ProcessSpec, ...]:
    """Every service's processes. `machine` is this process's environment; no other mesh's settings are inherited."""
    inherited = {name: value for name, value in machine.items() if not name.startswith("OSM_")}
    return tuple(
        ProcessSpec(
            name=f"{service}-{number}",
            service=service,
            command=(sys.executable, "-m", f"services.{service}"),
            environment={
                **inherited,
                "GRPC_ENABLE_FORK_SUPPORT": "false",  # else gRPC has a line for every workload that is started
                **reach.environment(service),
                "OSM_REPLICA": f"{service}-{number}",
                "OSM_LOG_LEVEL": wanted.log_level,
                "OSM_HTTP": f"unix:{run.path / f'{service}-{number}.http'}",
                **(wanted.authority if service == "certmgr" else {}),
                **_own(service, wanted, run),
            },
        )
        for service in SERVICES
        for number in range(wanted.replicas.get(service, 1))
    )


def _own(service: str, wanted: Wanted, run: RunFolder) -> dict[str, str]:
    """A service's own settings."""
    prefix = f"OSM_{service.upper()}_"
    match service:
        case "meshspec":
            own = {"FOLDER": str(wanted.folder)}
        case "endpoints":
            own = {"FOLDER": str(wanted.folder), "ISOLATED": str(run.isolated).lower()}
        case "certmgr":
            own = {
                "CA_FOLDER": str(wanted.ca_folder),
                "ALLOW_SHORT_LIFETIMES": "true",
                "PROXY_LIFETIME_S": str(wanted.proxy_lifetime_s),
            }
        case "xds":
            own = {"LISTEN": run.xds_listen, "REUSE_PORT": str(wanted.replicas.get("xds", 1) > 1).lower()}
        case "local":
            own = {
                "FOLDER": str(wanted.folder),
                "RUN_FOLDER": str(run.path),
                "BLOCK": str(run.block),
                "ISOLATED": str(run.isolated).lower(),
                "XDS": run.xds_listen,
                "PROXY_LIFETIME_S": str(wanted.proxy_lifetime_s),
            }
        case _:
            own = {}
    return {prefix + name: value for name, value in own.items()}


def read_replicas(text: str) -> dict[str, int]:
    """`xds=2,certmgr=2` as numbers. Raises BadReplicas."""
    found: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        service, _, number = part.partition("=")
        if service not in SERVICES or service in ALONE:
            allowed = ", ".join(name for name in SERVICES if name not in ALONE)
            raise BadReplicas(f"found {service!r}, allowed are {allowed}")
        if not number.isdecimal() or not 1 <= int(number) <= MOST_REPLICAS:
            raise BadReplicas(f"{service}: found {number!r}, allowed are 1 to {MOST_REPLICAS}")
        found[service] = int(number)
    return found
