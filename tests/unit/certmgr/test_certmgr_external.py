"""certmgr before a CA plug-in: a real gRPC server, on a Unix socket or over TLS."""

import asyncio
import time
from collections import Counter

import grpc
import pytest

from osm.contracts.names import XDS_IDENTITY
from osm.contracts.trust import Chain, ControlPlane, ProxyClient, Refused
from osm.pki.reading import load_chain, verify
from osm.testing.authority import SERVER_NAME, Authority
from services.certmgr.folder import FolderLedger
from services.certmgr.settings import Settings
from tests.other_ca import OtherCa
from tests.plugin_server import plugin, signer
from tests.unit.certmgr.mesh_of_one import LEAF, STORE, MeshOfOne, active, until

CA = OtherCa()


@pytest.fixture
def mesh(tmp_path):
    """Its plug-in is at `ca.sock`."""
    mesh = MeshOfOne(tmp_path, provider="external", external_address=f"unix:{tmp_path / 'ca.sock'}")
    mesh.socket = tmp_path / "ca.sock"
    return mesh


async def test_a_plug_ins_chains_lead_to_the_root_that_is_published(mesh):
    async with plugin(f"unix:{mesh.socket}", CA), mesh.certmgr() as health:
        await active(health)
        roots = await mesh.roots()
        assert roots == (CA.root,)
        for caller, subject in (
            ("xds", LEAF),
            ("local", ProxyClient(identity=STORE, proxy_id="p.bookstore")),
            ("xds", ControlPlane(identity=XDS_IDENTITY, dns_names=("osm-xds.osm-system.svc",))),
        ):
            chain = await mesh.ask(subject, caller, lifetime_s=3600)
            assert isinstance(chain, Chain), chain
            assert len(load_chain(chain.chain_pem)) == 2
            assert verify(load_chain(chain.chain_pem), roots, time.time()).identity == subject.identity


async def test_what_may_come_back_is_recorded_before_the_plug_in_is_asked(mesh):
    recorded = []

    async def sign(asked, context):
        recorded.append(FolderLedger(mesh.folder / "ca").granted)
        return await signer(CA)(asked, context)

    async with plugin(f"unix:{mesh.socket}", CA, sign=sign), mesh.certmgr() as health:
        await active(health)
        chain = await mesh.ask(lifetime_s=3600)
    assert recorded[0][chain.issuer] >= chain.not_after_s


async def test_a_wrong_answer_is_counted_and_given_to_nobody(mesh, scraped):
    async def sign(asked, _context):
        return CA.sign(asked.csr_pem, "spiffe://cluster.local/ns/bank/sa/vault", server=True)

    async with plugin(f"unix:{mesh.socket}", CA, sign=sign), mesh.certmgr() as health:
        await active(health)
        assert scraped("osm_certmgr_refused_total", reason="wrong-answer") == 0
        outcome = await mesh.ask()
    assert outcome == Refused(
        why="the certificate authority answered with another certificate than was ordered: URI names: found "
        "spiffe://cluster.local/ns/bank/sa/vault, allowed is spiffe://cluster.local/ns/bookstore/sa/bookstore",
        retry=True,
    )
    assert scraped("osm_certmgr_refused_total", reason="wrong-answer") == 1


async def test_certmgr_waits_for_a_plug_in_that_is_not_there_and_says_so(mesh):
    async with mesh.certmgr() as health:
        await until(health, lambda status: any("ca.sock" in each for each in status.waiting_for))
        (said,) = health.status.waiting_for
        assert said.startswith(f"the root of CA plug-in unix:{mesh.socket}: ")
        async with plugin(f"unix:{mesh.socket}", CA):
            await active(health)


async def test_a_root_that_is_given_needs_no_plug_in_to_start(mesh, tmp_path):
    (tmp_path / "root.pem").write_text(CA.root_pem)
    async with mesh.certmgr(root_file=str(tmp_path / "root.pem")) as health:
        await active(health)
        outcome = await mesh.ask()
        assert outcome.why.startswith(f"cannot sign now: CA plug-in unix:{mesh.socket}: ")
        assert outcome.retry
        async with plugin(f"unix:{mesh.socket}", CA):
            assert isinstance(await mesh.ask(), Chain)


@pytest.mark.parametrize(
    ("code", "asked", "retry"),
    [
        (grpc.StatusCode.UNAVAILABLE, 3, True),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, 3, True),
        (grpc.StatusCode.INTERNAL, 1, True),
        (grpc.StatusCode.UNAUTHENTICATED, 1, True),
        (grpc.StatusCode.PERMISSION_DENIED, 1, False),
        (grpc.StatusCode.INVALID_ARGUMENT, 1, False),
        (grpc.StatusCode.FAILED_PRECONDITION, 1, False),
    ],
)
async def test_a_status_says_whether_to_ask_again_and_its_words_are_told(mesh, code, asked, retry):
    calls = Counter()

    async def sign(_asked, context):
        calls["sign"] += 1
        await context.abort(code, "the HSM\nis away")

    async with plugin(f"unix:{mesh.socket}", CA, sign=sign), mesh.certmgr() as health:
        await active(health)
        outcome = await mesh.ask()
    assert (calls["sign"], outcome.retry) == (asked, retry)
    assert outcome.why.endswith(f"CA plug-in unix:{mesh.socket}: Sign: {code.name}: the HSM is away")


async def test_a_plug_in_that_is_away_for_a_moment_is_asked_again(mesh):
    calls = Counter()

    async def sign(asked, context):
        calls["sign"] += 1
        if calls["sign"] == 1:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "restarting")
        return await signer(CA)(asked, context)

    async with plugin(f"unix:{mesh.socket}", CA, sign=sign), mesh.certmgr() as health:
        await active(health)
        assert isinstance(await mesh.ask(), Chain)


async def test_a_plug_in_that_does_not_answer_is_given_up(mesh):
    async def sign(_asked, _context):
        await asyncio.Event().wait()

    async with plugin(f"unix:{mesh.socket}", CA, sign=sign), mesh.certmgr(ca_timeout_s=0.3) as health:
        await active(health)
        outcome = await mesh.ask()
    assert outcome.retry
    assert outcome.why.startswith(f"cannot sign now: CA plug-in unix:{mesh.socket}: ")


async def test_no_more_than_were_set_are_asked_for_at_once(mesh):
    under_way, most = 0, 0

    async def sign(asked, context):
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return await signer(CA)(asked, context)

    async with plugin(f"unix:{mesh.socket}", CA, sign=sign), mesh.certmgr(ca_concurrency=3) as health:
        await active(health)
        outcomes = await asyncio.gather(*(mesh.ask() for _ in range(12)))
    assert all(isinstance(outcome, Chain) for outcome in outcomes)
    assert most == 3


async def test_a_socket_that_others_may_speak_on_is_refused(mesh):
    async with plugin(f"unix:{mesh.socket}", CA), mesh.certmgr() as health:
        await active(health)
        mesh.socket.chmod(0o660)
        outcome = await mesh.ask()
    assert f"{mesh.socket}: found mode 0660, allowed is 0600 or 0700; run: chmod 600 {mesh.socket}" in outcome.why


def tls_files(tmp_path, authority):
    """What certmgr shows and trusts; the server's own credentials, which demand a client certificate."""
    server = authority.server()
    client = authority.workload(STORE)
    (tmp_path / "roots.pem").write_bytes(client.roots_pem)
    (tmp_path / "own.pem").write_bytes(client.chain_pem)
    (tmp_path / "own.key").touch(0o600)
    (tmp_path / "own.key").write_bytes(client.key_pem)
    credentials = grpc.ssl_server_credentials(
        [(server.key_pem, server.chain_pem)], root_certificates=server.client_roots_pem, require_client_auth=True
    )
    settings = {
        "external_ca_file": str(tmp_path / "roots.pem"),
        "external_certificate_file": str(tmp_path / "own.pem"),
        "external_key_file": str(tmp_path / "own.key"),
        "external_server_name": SERVER_NAME,
    }
    return credentials, settings


async def test_over_a_network_both_ends_prove_who_they_are(mesh, tmp_path):
    credentials, settings = tls_files(tmp_path, Authority())
    async with (
        plugin("127.0.0.1:0", CA, tls=credentials) as port,
        mesh.certmgr(external_address=f"127.0.0.1:{port}", **settings) as health,
    ):
        await active(health)
        assert isinstance(await mesh.ask(), Chain)


async def test_a_plug_in_that_another_vouches_for_is_not_believed(mesh, tmp_path):
    credentials, settings = tls_files(tmp_path, Authority())
    (tmp_path / "roots.pem").write_bytes(Authority().roots_pem)
    (tmp_path / "root.pem").write_text(CA.root_pem)
    async with plugin("127.0.0.1:0", CA, tls=credentials) as port:
        address = f"127.0.0.1:{port}"
        async with mesh.certmgr(
            external_address=address, root_file=str(tmp_path / "root.pem"), ca_timeout_s=2, **settings
        ) as health:
            await active(health)
            assert "CERTIFICATE_VERIFY_FAILED" in (await mesh.ask()).why


async def test_files_that_have_changed_are_read_again(mesh, tmp_path):
    authority = Authority()
    credentials, settings = tls_files(tmp_path, authority)
    right = (tmp_path / "roots.pem").read_bytes()
    (tmp_path / "roots.pem").write_bytes(Authority().roots_pem)
    (tmp_path / "root.pem").write_text(CA.root_pem)
    async with plugin("127.0.0.1:0", CA, tls=credentials) as port:
        address = f"127.0.0.1:{port}"
        async with mesh.certmgr(
            external_address=address, root_file=str(tmp_path / "root.pem"), ca_timeout_s=2, **settings
        ) as health:
            await active(health)
            assert isinstance(await mesh.ask(), Refused)
            (tmp_path / "roots.pem").write_bytes(right)
            assert isinstance(await mesh.ask(), Chain)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"external_address": ""}, "external_address: found '', allowed are host:port and unix:/path"),
        ({"external_address": "unix:relative"}, "external_address: found 'unix:relative'"),
        ({"external_address": "ca.example"}, "external_address: found 'ca.example'"),
        ({"external_address": "ca.example:99999"}, "external_address: found 'ca.example:99999'"),
        ({"external_address": "ca.example:443"}, "plain text is spoken over a Unix socket alone"),
        ({"external_address": "unix:/a", "external_key_file": "b"}, "external_key_file: found a certificate or a key"),
        ({"external_address": "unix:/a", "ca_timeout_s": 10}, "ca_timeout_s: found 10, allowed are seconds from above"),
        ({"external_address": "unix:/a", "ca_concurrency": 0}, "ca_concurrency: found 0, allowed are 1 to 64"),
    ],
)
def test_settings_of_a_plug_in_that_cannot_be_meant_are_refused(fields, why):
    with pytest.raises(ValueError, match=why):
        Settings(provider="external", **fields)
