"""A nats-server of one mesh's own: TLS, a user and a password per service, and no more rights than each needs.

Everything it needs lies in the run folder, secrets with mode 0600, and goes with it. Its certificate comes from a
root whose key signs this once and is forgotten. Who may do what is rendered from the channel table.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from osm.bus import nats_keys
from osm.bus.background_tasks import background_tasks
from osm.bus.nats_greeting import greets
from osm.bus.nats_program import NoServer, find
from osm.bus.permissions import USERS, password_variable, render
from osm.cli.machine.run_folder import RunFolder
from osm.cli.machine.supervised_process import SupervisedProcess
from osm.cli.nats_access import USER_MARK, NatsAccess
from osm.cli.output import CommandError
from osm.pki.files import private_folder, write_key, write_secret
from osm.pki.issuing import Profile, make_root, sign
from osm.pki.keys import make_key
from osm.pki.reading import chain_pem

PORT = 15422
"""In the mesh's own block of addresses, so that no other server is there."""

READY_WITHIN_S = 15.0
"""It takes about 30 ms; a busy machine is included."""

GRACE_S = 5.0

CERTIFICATE_LIFE_S = 3650 * 24 * 3600
"""As long as the server may run: it is made anew with every run folder."""

MAX_PAYLOAD_BYTES = 8 * 1024 * 1024
"""The bus's limit of one document."""

MAX_STORE_BYTES = 1024 * 1024 * 1024
"""Buckets hold one value per key: a mesh of thousands of services takes some megabytes."""


class OwnServer(Struct, frozen=True, kw_only=True):
    """A running server: how to reach it, and its process."""

    reach: NatsAccess
    process: SupervisedProcess


@asynccontextmanager
async def own_nats(run: RunFolder) -> AsyncIterator[OwnServer]:
    """Run one while the context is open. Raises CommandError if there is no program for it or it does not start."""
    try:
        program = find()
    except NoServer as error:
        raise CommandError(str(error), remedy="make nats-server") from error
    folder = private_folder(run.path / "nats")
    host = f"127.{run.block}.0.1"
    _write(folder, host)
    process = SupervisedProcess(
        "nats-server",
        (str(program), "-c", str(folder / "server.conf")),
        environment={},
        folder=run.path,
        grace_s=GRACE_S,
    )
    reach = NatsAccess(
        url=f"tls://{host}:{PORT}",
        variables={
            "OSM_NATS_PASSWORD_FILE": str(folder / f"{USER_MARK}.password"),
            "OSM_NATS_CA_FILE": str(folder / "root.pem"),
            **nats_keys.variables(folder, USER_MARK),
        },
    )
    async with background_tasks(process.run()):
        await _answers(process, host)
        yield OwnServer(reach=reach, process=process)


def _write(folder: Path, host: str) -> None:
    """Credentials and configuration. Raises OSError."""
    passwords = {user: f"p{secrets.token_hex(16)}" for user in USERS}
    for user, password in passwords.items():
        write_secret(folder / f"{user}.password", password.encode())
    nats_keys.make_keys(folder)
    _write_certificate(folder, host)
    write_secret(folder / "server.conf", _configuration(folder, host, passwords).encode())


def _write_certificate(folder: Path, host: str) -> None:
    root_key, key, now_s = make_key(), make_key(), time.time()
    root = make_root(
        root_key, trust_domain="nats", now_s=now_s, lifetime_s=CERTIFICATE_LIFE_S, serial=secrets.randbits(120)
    )
    certificate = sign(
        Profile(uri="spiffe://nats/server", addresses=(host,), client=False, server=True),
        key.public_key(),
        issuer=root,
        issuer_key=root_key,
        now_s=now_s,
        lifetime_s=CERTIFICATE_LIFE_S,
        serial=secrets.randbits(120),
    )
    write_secret(folder / "root.pem", chain_pem([root]).encode())
    write_secret(folder / "server.pem", chain_pem([certificate]).encode())
    write_key(folder / "server-key.pem", key)


def _configuration(folder: Path, host: str, passwords: dict[str, str]) -> str:
    """What nats-server reads; the passwords are variables of the file, named in the rendered permissions."""
    variables = "".join(f'{password_variable(user)}: "{password}"\n' for user, password in sorted(passwords.items()))
    return (
        f'listen: "{host}:{PORT}"\n'
        f"max_payload: {MAX_PAYLOAD_BYTES}\n"
        f'jetstream {{ store_dir: "{folder / "store"}", max_mem: 64MB, max_file: {MAX_STORE_BYTES} }}\n'
        f'tls {{ cert_file: "{folder / "server.pem"}", key_file: "{folder / "server-key.pem"}", timeout: 5 }}\n'
        f"{variables}{render()}"
    )


async def _answers(process: SupervisedProcess, host: str) -> None:
    """Raises CommandError if it does not within READY_WITHIN_S, or ends instead."""
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            while not await greets(host, PORT):
                if process.starts > 1:
                    break
                await asyncio.sleep(0.02)
            else:
                return
    except TimeoutError:
        pass  # its log says why, or that it said nothing
    raise CommandError(f"nats-server did not start: {process.last_words()}", remedy=f"its log is {process.log}")
