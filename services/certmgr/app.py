"""The shell: read who is in the mesh, publish the bundle if elected, answer requests whether elected or not."""

import asyncio
from typing import NoReturn

from osm.bus import Bus
from osm.contracts.channels import BUNDLE, IDENTITY, SIGN
from osm.contracts.trust import Bundle
from osm.runtime.health import Health
from services.certmgr import authority
from services.certmgr.decide import Rules
from services.certmgr.issuer import Issuer
from services.certmgr.settings import Settings
from services.certmgr.signer import Signer
from services.certmgr.state import Picture


async def run(bus: Bus, settings: Settings, health: Health) -> None:
    """Endless. Raises BadRoot or BadLedger if the root cannot be used, LeadershipLost if it is not alone.

    With a root or its record in a cluster, NoCluster and ApiError too, if they cannot be read.
    """
    health.starting("the root")
    async with authority.opened(settings, health.starting) as (issuer, ledger):
        picture = Picture(settings.trust_domain)
        read = asyncio.Event()
        health.starting(*_missing(picture, issuer))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_publish_bundle(bus, settings.trust_domain, issuer), name="publish the bundle")
            tasks.create_task(_read(bus, picture, issuer, read, health), name="read identities")
            await read.wait()
            async with bus.serve(SIGN, Signer(picture, issuer, ledger, rules(settings)).answer):
                health.active()
                await _forever()


def rules(settings: Settings) -> Rules:
    return Rules(
        trust_domain=settings.trust_domain,
        lifetimes_s={
            "leaf": settings.leaf_lifetime_s,
            "proxy": settings.proxy_lifetime_s,
            "control": settings.control_lifetime_s,
            "gateway": settings.gateway_lifetime_s,
        },
        floor_s=settings.floor_s,
        namespace=settings.namespace,
    )


async def _read(bus: Bus, picture: Picture, issuer: Issuer, read: asyncio.Event, health: Health) -> None:
    """Set `read` once both buckets are known in full and the mesh has been told to trust our root.

    A replica with another root than the published one so never answers: its chains would be worthless.
    """
    async for update in bus.watch(IDENTITY.bucket, BUNDLE.bucket, states=(IDENTITY, BUNDLE)):
        picture.apply(update)
        if read.is_set():
            continue
        if missing := _missing(picture, issuer):
            health.starting(*missing)
        else:
            read.set()


async def _publish_bundle(bus: Bus, trust_domain: str, issuer: Issuer) -> NoReturn:
    """One elected certmgr writes it; holding the writer open is what keeps others from it."""
    bundle = Bundle(trust_domain=trust_domain, roots_pem=(issuer.root_pem,))
    async with bus.writer(BUNDLE.bucket) as writer:
        await writer.publish({BUNDLE.key(trust_domain): bundle})
        await _forever()


def _missing(picture: Picture, issuer: Issuer) -> tuple[str, ...]:
    unread = tuple(f"the full picture of bucket {bucket}" for bucket in picture.unread)
    return unread or (() if picture.trusts(issuer.root_pem) else (_other_root(issuer),))


def _other_root(issuer: Issuer) -> str:
    return (
        f"a bundle that trusts our root {issuer.key_id}: the mesh has another one; give this certmgr the provider and "
        "the root that the others have, since a mesh cannot change its root while it runs"
    )


async def _forever() -> NoReturn:
    while True:
        await asyncio.Event().wait()
