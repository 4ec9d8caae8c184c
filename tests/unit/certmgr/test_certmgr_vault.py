"""certmgr before Vault's HTTP API, played by tests/vault_server.py."""

import asyncio
import time

import pytest

from osm.contracts.names import XDS_IDENTITY
from osm.contracts.trust import Chain, ControlPlane, ProxyClient
from osm.pki.reading import load_chain, verify
from services.certmgr import vault
from services.certmgr.settings import Settings
from tests.other_ca import OtherCa
from tests.unit.certmgr.mesh_of_one import LEAF, STORE, MeshOfOne, active, until
from tests.vault_server import TOKEN, vault_server

CA = OtherCa()
PROXY = ProxyClient(identity=STORE, proxy_id="p.bookstore")


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
async def server():
    async with vault_server(CA) as server:
        yield server


@pytest.fixture
def mesh(tmp_path, token, server):
    return MeshOfOne(
        tmp_path,
        provider="vault",
        vault_address=f"http://127.0.0.1:{server.port}/",
        vault_role="mesh",
        vault_proxy_role="proxies",
        vault_token_file=str(token),
        vault_namespace="team/a",
    )


async def test_vaults_chains_lead_to_the_root_of_its_chain(mesh, server):
    async with mesh.certmgr() as health:
        await active(health)
        roots = await mesh.roots()
        assert roots == (CA.root,)
        for caller, subject in (
            ("xds", LEAF),
            ("local", PROXY),
            ("xds", ControlPlane(identity=XDS_IDENTITY, dns_names=("osm-xds.osm-system.svc",))),
        ):
            chain = await mesh.ask(subject, caller, lifetime_s=3600)
            assert isinstance(chain, Chain), chain
            assert verify(load_chain(chain.chain_pem), roots, time.time()).identity == subject.identity
    signed = [(path, body) for method, path, body in server.asked if "sign" in path]
    assert [path for path, _ in signed] == ["pki/sign/mesh", "pki/sign/proxies", "pki/sign/mesh"]
    body = signed[0][1]
    assert (body["uri_sans"], body["alt_names"], body["ttl"], body["format"]) == (
        "spiffe://cluster.local/ns/bookstore/sa/bookstore",
        "bookstore.bookstore.cluster.local",
        "3600s",
        "pem",
    )
    assert "PRIVATE" not in str(server.asked)
    assert server.headers["X-Vault-Namespace"] == "team/a"


async def test_a_mount_without_a_chain_is_asked_for_its_certificate(mesh, server):
    server.chain_known = False
    async with mesh.certmgr() as health:
        await active(health)
        assert await mesh.roots() == (CA.root,)


async def test_one_role_for_both_uses_is_refused_for_proxies(mesh):
    async with mesh.certmgr(vault_proxy_role="") as health:
        await active(health)
        assert isinstance(await mesh.ask(), Chain)
        assert "extended key usage: found client, server, allowed is client" in (await mesh.ask(PROXY, "local")).why


async def test_a_role_that_is_not_there_is_named(mesh, server):
    async with mesh.certmgr(vault_role="absent") as health:
        await active(health)
        outcome = await mesh.ask()
    place = f"Vault http://127.0.0.1:{server.port} (pki)"
    assert outcome.why == f"{place}: POST pki/sign/absent: 400 unknown role: absent"
    assert not outcome.retry


async def test_a_token_that_was_replaced_is_used_at_once_and_never_told(mesh, server, token):
    async with mesh.certmgr() as health:
        await active(health)
        token.write_text("hvs.ended")
        outcome = await mesh.ask()
        assert outcome.why.endswith("403 permission denied (the token has ended, or its policy does not allow this)")
        assert outcome.retry
        assert "hvs" not in outcome.why
        token.write_text(TOKEN)
        assert isinstance(await mesh.ask(), Chain)


async def test_a_token_that_others_may_read_is_refused(mesh, token):
    token.chmod(0o644)
    async with mesh.certmgr() as health:
        await until(health, lambda status: any("found mode 0644, allowed is 0600" in w for w in status.waiting_for))


async def test_a_sealed_vault_is_waited_for_and_asked_again(mesh, server):
    server.sealed = True
    async with mesh.certmgr() as health:
        await until(health, lambda status: any("503 Vault is sealed" in each for each in status.waiting_for))
        server.sealed = False
        await active(health)
        assert isinstance(await mesh.ask(), Chain)


async def test_a_token_is_renewed_at_half_of_its_life(mesh, server, monkeypatch):
    pauses = []
    real = asyncio.sleep

    async def sleep(seconds, *more):
        if seconds >= 1:
            pauses.append(seconds)
            seconds = 0.01
        await real(seconds, *more)

    server.ttl_s = 60
    monkeypatch.setattr(vault.asyncio, "sleep", sleep)
    async with mesh.certmgr() as health:
        await active(health)
        while server.renewals < 3:
            await real(0.01)
    assert set(pauses) == {30.0}


async def test_a_token_that_cannot_be_renewed_is_left_alone(mesh, server):
    server.renewable = False
    async with mesh.certmgr() as health:
        await active(health)
        while not any("lookup-self" in path for _, path, _ in server.asked):
            await asyncio.sleep(0.01)
        assert isinstance(await mesh.ask(), Chain)
    assert server.renewals == 0


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"vault_address": ""}, "vault_address: found ''"),
        (
            {"vault_address": "http://vault.example:8200"},
            "vault_address: found 'http://vault.example:8200', allowed is",
        ),
        ({"vault_address": "vault.example:8200"}, "vault_address: found 'vault.example:8200'"),
        ({"vault_token_file": ""}, "vault_token_file: found nothing"),
        ({"vault_role": ""}, "vault_role: found nothing"),
    ],
)
def test_settings_of_vault_that_cannot_be_meant_are_refused(fields, why):
    right = {"vault_address": "https://vault.example:8200", "vault_token_file": "/token"}
    with pytest.raises(ValueError, match=why):
        Settings(provider="vault", **{**right, **fields})
