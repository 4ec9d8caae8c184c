"""A real Envoy, started from our bootstrap, before a real ADS port with mutual TLS."""

import asyncio
import contextlib
import stat
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from osm.ads.credentials import ServerIdentity
from osm.contracts.names import XDS_IDENTITY, Address, Identity
from osm.contracts.trust import ControlPlane, ProxyClient
from osm.envoy import admin
from osm.envoy.process import EnvoyProcess
from osm.pki import issuing
from osm.pki.keys import key_pem, make_key
from osm.pki.reading import chain_pem
from osm.testing.sidecar_folder import launch_of, write_bootstrap, write_certificate
from osm.testing.xds_server import xds_server
from tests.envoy.admin_page import PATIENCE_S, page

pytestmark = pytest.mark.envoy

BUYER = Identity("bookbuyer", "buyer")
PROXY = "bookbuyer-0.bookbuyer"
SHORT_S = 10
"""Long enough for an Envoy to connect, short enough to wait for."""


class Authority:
    """A root, and certificates by it."""

    def __init__(self):
        self._key = make_key()
        self._root = issuing.make_root(
            self._key, trust_domain="cluster.local", now_s=time.time(), lifetime_s=7200, serial=1
        )
        self.roots_pem = chain_pem([self._root])
        self._serial = 1

    def issue(self, subject, lifetime_s=3600):
        """Key and chain, PEM."""
        key = make_key()
        self._serial += 1
        leaf = issuing.sign(
            issuing.profile_of(subject, "cluster.local"),
            key.public_key(),
            issuer=self._root,
            issuer_key=self._key,
            now_s=time.time(),
            lifetime_s=lifetime_s,
            serial=self._serial,
        )
        return key_pem(key).decode(), chain_pem([leaf])

    def xds(self, identity=XDS_IDENTITY):
        key, chain = self.issue(ControlPlane(identity=identity))
        return ServerIdentity(chain_pem=chain.encode(), key_pem=key.encode(), client_roots_pem=self.roots_pem.encode())

    def renew(self, folder, lifetime_s=3600):
        """Put a new certificate of the proxy into its folder."""
        key, chain = self.issue(ProxyClient(identity=BUYER, proxy_id=PROXY), lifetime_s)
        write_certificate(folder, key_pem=key, chain_pem=chain, roots_pem=self.roots_pem)
        return chain


@asynccontextmanager
async def envoy(folder, authority, port=1, lifetime_s=3600):
    authority.renew(folder, lifetime_s)
    write_bootstrap(folder, PROXY, BUYER, Address("127.0.0.1", port))
    process = EnvoyProcess(launch_of(folder))
    try:
        yield process
    finally:
        await process.stop()


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.05)


async def answers(folder):
    """Wait until the admin interface answers."""

    async def answered():
        return not (await admin.read(folder / "admin.sock", "clusters")).why

    await until(answered)


async def stat_of(folder, name):
    stats = await page(folder / "admin.sock", "stats")
    return next((line.rpartition(": ")[2] for line in stats.splitlines() if line.startswith(f"{name}: ")), None)


async def test_it_is_not_live_without_xds_and_its_admin_socket_is_private(tmp_path):
    async with envoy(tmp_path, Authority()) as process:
        await answers(tmp_path)
        assert stat.S_IMODE((tmp_path / "admin.sock").stat().st_mode) == 0o600
        assert not await admin.is_live(tmp_path / "admin.sock")
        await process.stop()
        assert await process.ended() == 0
    assert "deprecated" not in (tmp_path / "envoy.log").read_text().lower()


async def test_every_query_is_answered(tmp_path):
    async with envoy(tmp_path, Authority()):
        await answers(tmp_path)
        for query in ("clusters", "listeners", "routes", "endpoints", "certs", "config_dump", "stats"):
            reply = await admin.read(tmp_path / "admin.sock", query)
            assert (reply.why, bool(reply.body)) == ("", True), query


async def test_private_keys_are_not_in_the_dump(tmp_path):
    async with envoy(tmp_path, Authority()):
        await answers(tmp_path)
        reply = await admin.read(tmp_path / "admin.sock", "config_dump")
    assert "xds-client-certificate" in reply.body
    assert "PRIVATE KEY" not in reply.body


async def test_it_takes_two_of_its_users_inotify_instances(tmp_path):
    """Of which Linux grants 128: they bound how many workloads a machine has."""
    authority = Authority()
    async with xds_server(identity=authority.xds) as xds, envoy(tmp_path, authority, xds.port) as process:
        async with asyncio.timeout(PATIENCE_S):
            await process.live()
        assert _opened(process.pid).count("anon_inode:inotify") == 2


def _opened(pid: int) -> list[str]:
    """What its descriptors lead to; one may be closed while they are read."""
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(each.readlink()))
    return found


async def test_it_becomes_live_before_xds_and_shows_its_own_certificate(tmp_path):
    authority = Authority()
    async with xds_server(identity=authority.xds) as xds, envoy(tmp_path, authority, xds.port) as process:
        async with asyncio.timeout(PATIENCE_S):
            await process.live()
        (stream,) = xds.streams.values()
        assert stream.node_id == PROXY
        assert stream.peer.uris == (f"spiffe://cluster.local/ns/bookbuyer/sa/buyer/proxy/{PROXY}",)


@pytest.mark.parametrize("poser", [Identity("bookthief", "thief"), Identity("osm-system", "osm-injector")])
async def test_nobody_else_of_the_same_root_can_pose_as_xds(tmp_path, poser):
    authority = Authority()
    given = authority.xds(poser)
    async with xds_server(identity=lambda: given) as xds, envoy(tmp_path, authority, xds.port):

        async def refused():
            return await stat_of(tmp_path, "cluster.osm-xds.ssl.fail_verify_san")

        await until(refused)
        assert xds.streams == {}


async def test_a_stream_whose_certificate_ends_is_opened_anew_with_the_renewed_one(tmp_path):
    """Neither a restart nor the old connection: what replacing the file and one request a connection are for."""
    authority = Authority()
    async with (
        xds_server(identity=authority.xds) as xds,
        envoy(tmp_path, authority, xds.port, lifetime_s=SHORT_S) as process,
    ):
        async with asyncio.timeout(PATIENCE_S):
            await process.live()
        (old,) = xds.streams
        renewed = authority.renew(tmp_path)

        async def reconnected():
            return old not in xds.streams and len(xds.streams) == 1

        await until(reconnected)
        (stream,) = xds.streams.values()
        assert stream.peer.certificate_pem.decode().strip() == renewed.strip()
