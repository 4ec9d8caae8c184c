"""Ports of a cluster on this machine, for the length of a block: kubectl forwards them, with the user's own login.

So nothing of a mesh needs to be reachable from outside: whoever may forward a port and read the Secret of the CLI's
bus user may look, and the API server is who says so.
"""

import asyncio
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from osm.bus.background_tasks import background_tasks
from osm.cli.find_mesh import program
from osm.cli.kubernetes.cluster import look_up, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions
from osm.cli.kubernetes.meshes import chosen
from osm.cli.kubernetes.program import KUBECTL
from osm.cli.kubernetes.survey import all_meshes
from osm.cli.nats_access import NatsAccess
from osm.cli.output import CommandError
from osm.envoy.end_with_parent import tied_to_parent
from osm.k8s.objects import Secret
from osm.k8s.resource import SECRETS
from osm.pki.files import write_secret

BUS = "svc/osm-nats"
BUS_PORT = 4222
CREDENTIALS = "osm-nats-cli"
"""The Secret that `osm prepare` makes for whoever may read it: a bus user that reads and writes nothing."""

OPEN_WITHIN_S = 15.0
"""kubectl finds a pod, logs in and connects; a cluster far away included."""

ANYWHERE = 0
"""As a local port: whichever is free."""


@asynccontextmanager
async def forwarded(
    where: ClusterOptions, namespace: str, target: str, port: int, local: int = ANYWHERE
) -> AsyncIterator[int]:
    """The local port that leads to `port` of `target` (such as `svc/osm-nats`) while the context is open.

    Raises CommandError with kubectl's words if it does not come about.
    """
    pair = f"{local or ''}:{port}"
    kubectl = [KUBECTL.path(), *where.kubectl(), "port-forward", f"--namespace={namespace}", target, pair]
    running = await asyncio.create_subprocess_exec(
        *tied_to_parent(*kubectl, "--address=127.0.0.1"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert running.stdout is not None
    try:
        try:
            async with asyncio.timeout(OPEN_WITHIN_S):
                opened_at = await _local_port(running.stdout)
        except TimeoutError:
            opened_at = None
        if opened_at is None:
            raise await _not_forwarded(running, namespace, target)
        async with background_tasks(_drain(running.stdout), _until_lost(running, namespace, target)):
            yield opened_at
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


async def _local_port(said: asyncio.StreamReader) -> int | None:
    """As kubectl tells it; None if it ends before."""
    async for line in said:
        if found := re.search(rb"from 127\.0\.0\.1:(\d+)", line):
            return int(found[1])
    return None


async def _drain(said: asyncio.StreamReader) -> None:
    """kubectl tells every connection, and would stop at a full pipe."""
    while await said.read(4096):
        continue


async def _until_lost(running: asyncio.subprocess.Process, namespace: str, target: str) -> None:
    """Raises CommandError once kubectl has ended: whoever goes on over the port would wait for nothing."""
    assert running.stderr is not None
    end = b""
    while said := await running.stderr.read(4096):
        end = (end + said)[-4096:]
    last = end.decode(errors="replace").strip().rpartition("\n")[2]
    why = last.removeprefix("error: ") or "it has ended"
    raise CommandError(
        f"kubectl no longer forwards a port of {target} in namespace {namespace}: {why}",
        remedy="the same command again",
    )


async def _not_forwarded(running: asyncio.subprocess.Process, namespace: str, target: str) -> CommandError:
    if running.returncode is None:
        running.terminate()
    _, words = await running.communicate()
    why = words.decode(errors="replace").strip().removeprefix("error: ") or f"no word within {OPEN_WITHIN_S:g} s"
    return CommandError(
        f"kubectl cannot forward a port of {target} in namespace {namespace}: {why}",
        remedy=f"kubectl get pods -n {namespace}; and you need the permission to create pods/portforward",
    )


@asynccontextmanager
async def cluster_bus(where: ClusterOptions) -> AsyncIterator[NatsAccess]:
    """How to reach the bus of the cluster's mesh while the context is open. Raises CommandError."""
    async with opened(where) as cluster:
        found = await all_meshes(cluster)
        if not found:
            raise CommandError(
                "no mesh runs here, and the cluster has none",
                remedy=f"{program()} demo for one on this machine, {program()} install for one in the cluster",
            )
        mesh = chosen(found, "", where.osm_namespace)
        if mesh.old:
            raise CommandError(
                f"mesh [{mesh.name}] in namespace [{mesh.namespace}] is OSM {mesh.version}'s, which has no bus",
                remedy="this works on meshes that this CLI has installed; osm mesh list",
            )
        secret = await look_up(cluster, SECRETS, CREDENTIALS, mesh.namespace, as_=Secret)
    if secret is None:
        raise CommandError(
            f"mesh [{mesh.name}] has no Secret {mesh.namespace}/{CREDENTIALS}: its Job osm-prepare has not made it",
            remedy=f"{program()} check; kubectl logs -n {mesh.namespace} -l app=osm-prepare",
        )
    with tempfile.TemporaryDirectory(prefix="osm-cli-") as folder:  # made with mode 0700
        variables = _written(Path(folder), secret)
        async with forwarded(where, mesh.namespace, BUS, BUS_PORT) as port:
            yield NatsAccess(url=f"tls://127.0.0.1:{port}", variables=variables)


def _written(folder: Path, secret: Secret) -> dict[str, str]:
    """The credentials as files, which is how the bus takes them; the variables that name them."""
    files = {"PASSWORD_FILE": "password", "CA_FILE": "ca.crt", "WRITERS_FILE": "writers.json"}
    missing = sorted(name for name in files.values() if name not in secret.data)
    if missing:
        raise CommandError(f"Secret {CREDENTIALS}: has no {', '.join(missing)}", remedy=f"{program()} check")
    for name in files.values():
        write_secret(folder / name, secret.data[name])
    return {f"OSM_NATS_{variable}": str(folder / name) for variable, name in files.items()}
