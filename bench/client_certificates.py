"""What clients need to connect as proxies: certificates and keys, in one file of a folder that ends with the run."""

from pathlib import Path

import msgspec
from msgspec import Struct

from bench.world import World
from osm.bus import Bus
from osm.contracts.channels import BUNDLE, SIGN
from osm.contracts.endpoints import Workload
from osm.contracts.names import XDS_IDENTITY
from osm.contracts.trust import Bundle, ControlPlane, ProxyClient, Refused, SignRequest
from osm.pki.files import write_secret
from osm.pki.keys import key_pem, make_csr, make_key
from services.xds.app import SERVER_NAME


class NotSigned(Exception):
    """certmgr refused; the message says whom and why."""


class Passport(Struct, frozen=True, kw_only=True):
    """A name with its key and chain, in PEM."""

    name: str
    chain_pem: str
    key_pem: str


class Passports(Struct, frozen=True, kw_only=True):
    """Of all proxies, and of a server for the echo; the roots they trust, and the name to expect of a server."""

    proxies: tuple[Passport, ...]
    server: Passport
    roots_pem: str
    server_name: str


async def passport(bus: Bus, name: str, subject: ProxyClient | ControlPlane) -> Passport:
    """Ask certmgr, as the service that `bus` belongs to. Raises NotSigned when it refuses."""
    key = make_key()
    reply = await bus.ask(SIGN, SignRequest(csr_pem=make_csr(key), subject=subject))
    if isinstance(reply.outcome, Refused):
        raise NotSigned(f"certmgr refused {name}: {reply.outcome.why}")
    return Passport(name=name, chain_pem=reply.outcome.chain_pem, key_pem=key_pem(key).decode())


async def proxy_passport(bus: Bus, workload: Workload) -> Passport:
    return await passport(bus, workload.proxy_id, ProxyClient(identity=workload.identity, proxy_id=workload.proxy_id))


async def all_passports(local: Bus, xds: Bus, world: World) -> Passports:
    """What `local` would ask for its proxies; and a server's, in the name of xds. Raises NotSigned."""
    server = ControlPlane(identity=XDS_IDENTITY, dns_names=(SERVER_NAME,))
    return Passports(
        proxies=tuple([await proxy_passport(local, world.workload(at)) for at in range(world.streams)]),
        server=await passport(xds, "echo", server),
        roots_pem="".join((await _bundle(xds)).roots_pem),
        server_name=SERVER_NAME,
    )


async def _bundle(bus: Bus) -> Bundle:
    async for update in bus.watch(BUNDLE.bucket):
        for document in update.documents:
            if isinstance(document.value, Bundle):
                return document.value
    raise AssertionError("unreachable: a watch is endless")


def save(folder: Path, passports: Passports) -> None:
    write_secret(folder / "passports.json", msgspec.json.encode(passports))


def load(folder: Path) -> Passports:
    return msgspec.json.decode((folder / "passports.json").read_bytes(), type=Passports)
