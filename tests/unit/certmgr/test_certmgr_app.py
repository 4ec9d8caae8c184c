import asyncio
from contextlib import asynccontextmanager

import pytest

from osm.bus import NoAnswer
from osm.bus.memory import MemoryCore
from osm.contracts.channels import BUNDLE, IDENTITY, SIGN
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import XDS_IDENTITY, Identity
from osm.contracts.trust import Bundle, Chain, ControlPlane, MeshLeaf, ProxyClient, Refused, SignRequest
from osm.pki.holder import Holder
from osm.pki.keys import make_csr, make_key
from osm.pki.reading import load_chain, verify
from osm.runtime.health import Health
from services.certmgr.app import run
from services.certmgr.folder import FolderLedger
from services.certmgr.settings import Settings

STORE = Identity("bookstore", "bookstore")
KEY = IDENTITY.key("bookstore", "bookstore")


@asynccontextmanager
async def certmgr(core, folder, **more):
    """A certmgr, still starting; its health."""
    health = Health("certmgr", "r", "v", 0.0)
    settings = Settings(ca_folder=str(folder), **more)
    task = asyncio.create_task(run(core.bus("certmgr"), settings, health))
    try:
        yield health
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(health, said):
    """Wait until the service says of itself what `said` wants to hear."""
    changed = asyncio.Event()
    health.on_change(lambda _: changed.set())
    while not said(health.status):
        changed.clear()
        await changed.wait()


async def active(health):
    await until(health, lambda status: status.state == "active")


@asynccontextmanager
async def mesh(core, *identities):
    async with core.bus("endpoints").writer("endpoints") as writer:
        await writer.publish({IDENTITY.key(i.namespace, i.account): MeshIdentity(identity=i) for i in identities})
        yield writer


async def ask(core, subject, caller="xds", **more):
    request = SignRequest(csr_pem=make_csr(make_key()), subject=subject, **more)
    return (await core.bus(caller).ask(SIGN, request)).outcome


async def bundle(core):
    async for update in core.bus("xds").watch("certmgr"):
        for document in update.documents:
            if document.key == BUNDLE.key("cluster.local"):
                return document.value
    return None


async def test_members_of_the_mesh_get_chains_that_the_bundle_trusts(tmp_path):
    core = MemoryCore()
    async with certmgr(core, tmp_path) as health, mesh(core, STORE):
        await active(health)
        roots = load_chain("".join((await bundle(core)).roots_pem))
        for caller, subject in (
            ("xds", MeshLeaf(identity=STORE)),
            ("local", ProxyClient(identity=STORE, proxy_id="p.bookstore")),
            ("xds", ControlPlane(identity=XDS_IDENTITY, dns_names=("localhost",))),
        ):
            chain = await ask(core, subject, caller)
            assert isinstance(chain, Chain)
            assert verify(load_chain(chain.chain_pem), roots, chain.not_before_s).identity == subject.identity


async def test_nothing_is_answered_before_the_identities_have_been_read(tmp_path):
    core = MemoryCore()
    async with certmgr(core, tmp_path) as health:
        await until(health, lambda status: status.waiting_for == ("the full picture of bucket endpoints",))
        with pytest.raises(NoAnswer):
            await ask(core, ControlPlane(identity=XDS_IDENTITY))
        async with mesh(core):
            await active(health)
            assert isinstance(await ask(core, ControlPlane(identity=XDS_IDENTITY)), Chain)


async def test_who_leaves_the_mesh_gets_nothing_more(tmp_path):
    core = MemoryCore()
    async with certmgr(core, tmp_path) as health, mesh(core, STORE) as writer:
        await active(health)
        assert isinstance(await ask(core, MeshLeaf(identity=STORE)), Chain)
        await writer.apply({}, [KEY])
        while isinstance(outcome := await ask(core, MeshLeaf(identity=STORE)), Chain):
            await asyncio.sleep(0)
        assert outcome == Refused(why=outcome.why, retry=True)
        assert "bookstore/bookstore is not in the mesh" in outcome.why


async def test_a_lost_endpoints_bucket_does_not_expel_anyone(tmp_path):
    core = MemoryCore()
    async with certmgr(core, tmp_path) as health, mesh(core, STORE):
        await active(health)
        core.lose("endpoints")
        for _ in range(20):
            await asyncio.sleep(0)
        assert isinstance(await ask(core, MeshLeaf(identity=STORE)), Chain)


async def test_the_bundle_and_the_root_survive_a_restart(tmp_path):
    core = MemoryCore()
    async with mesh(core, STORE):
        async with certmgr(core, tmp_path) as health:
            await active(health)
            before = await bundle(core)
        async with certmgr(core, tmp_path) as health:
            await active(health)
            assert await bundle(core) == before


async def test_a_second_replica_answers_though_it_may_not_write(tmp_path):
    core = MemoryCore()
    async with mesh(core, STORE), certmgr(core, tmp_path) as first:
        await active(first)
        async with certmgr(core, tmp_path) as second:
            await active(second)
            assert len(core.answers["certmgr", "sign"]) == 2
            chains = [await ask(core, MeshLeaf(identity=STORE)) for _ in range(4)]
            assert len({chain.issuer for chain in chains}) == 1


async def test_a_replica_with_another_root_never_answers(tmp_path):
    core = MemoryCore()
    async with mesh(core, STORE), certmgr(core, tmp_path / "a") as first:
        await active(first)
        async with certmgr(core, tmp_path / "b") as second:
            await until(second, lambda status: any("a bundle that trusts our root" in w for w in status.waiting_for))
            assert len(core.answers["certmgr", "sign"]) == 1


async def test_what_was_granted_is_on_disk_before_the_chain_is_given_away(tmp_path):
    core = MemoryCore()
    async with certmgr(core, tmp_path) as health, mesh(core, STORE):
        await active(health)
        chain = await ask(core, MeshLeaf(identity=STORE), lifetime_s=3600)
        assert FolderLedger(tmp_path).granted[chain.issuer] >= chain.not_after_s


async def test_nothing_is_signed_that_cannot_be_recorded(tmp_path):
    core = MemoryCore()
    async with certmgr(core, tmp_path) as health, mesh(core, STORE):
        await active(health)
        (tmp_path / "granted.json").mkdir()
        outcome = await ask(core, MeshLeaf(identity=STORE))
        assert isinstance(outcome, Refused)
        assert outcome.retry


async def test_seconds_of_life_are_for_tests_only(tmp_path):
    core = MemoryCore()
    for short, life_s in ((False, 600), (True, 7)):
        async with mesh(core, STORE), certmgr(core, tmp_path, allow_short_lifetimes=short) as health:
            await active(health)
            chain = await ask(core, MeshLeaf(identity=STORE), lifetime_s=7)
            assert chain.not_after_s - chain.not_before_s == pytest.approx(life_s, abs=60 if not short else 1)


async def test_a_holder_gets_its_certificate_once_its_identity_joins(tmp_path):
    core = MemoryCore()
    holder = Holder(core.bus("xds"), MeshLeaf(identity=STORE), trust_domain="cluster.local", jitter=lambda: 0.0)
    async with certmgr(core, tmp_path) as health, mesh(core) as writer:
        await active(health)
        keeping = asyncio.create_task(holder.run())
        while "not in the mesh" not in holder.why:
            await asyncio.sleep(0)
        await writer.apply({KEY: MeshIdentity(identity=STORE)})
        held = await holder.obtain()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        assert held.chain.issuer
        assert isinstance(await bundle(core), Bundle)


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"leaf_lifetime_s": 60}, "leaf_lifetime_s: found 60 seconds, allowed are 600"),
        ({"proxy_lifetime_s": 10**10}, "proxy_lifetime_s: found 10000000000"),
        ({"leaf_lifetime_s": 0, "allow_short_lifetimes": True}, "allowed are 1 to"),
        ({"root_lifetime_s": 3600}, "leaf_lifetime_s: found 86400 seconds, allowed are 600 to 3600"),
        ({"trust_domain": "my_mesh"}, "trust_domain: found 'my_mesh'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(fields, found):
    with pytest.raises(ValueError, match=found):
        Settings(**fields)
