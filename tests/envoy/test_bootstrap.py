import asyncio
import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from osm.contracts.names import Address, Identity
from osm.envoy import admin, binary
from osm.envoy.bootstrap import CertificateFiles, Sidecar, bootstrap, certificate_sds, roots_sds, text
from osm.envoy.process import EnvoyProcess, Launch
from osm.pki.keys import key_pem, make_key


def sidecar(folder: Path) -> Sidecar:
    return Sidecar(
        proxy_id="bookbuyer-0.bookbuyer",
        identity=Identity("bookbuyer", "buyer"),
        trust_domain="cluster.local",
        xds=Address("127.0.0.1", 1),
        admin=folder / "admin.sock",
        certificate_sds=folder / "certificate.json",
        roots_sds=folder / "roots.json",
    )


def files(folder: Path) -> CertificateFiles:
    current = folder / "certs" / "current"
    return CertificateFiles(
        chain=current / "chain.pem", key=current / "key.pem", roots=current / "roots.pem", watched=folder / "certs"
    )


def self_signed(folder: Path) -> None:
    """A certificate that Envoy can load; nobody is asked to trust it."""
    key = make_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + timedelta(hours=1))
    chain = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    version = folder / "certs" / "v1"
    version.mkdir(parents=True)
    for file, body in (("chain.pem", chain), ("roots.pem", chain), ("key.pem", key_pem(key))):
        (version / file).write_bytes(body)
    (folder / "certs" / "current").symlink_to("v1")


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[EnvoyProcess]:
    self_signed(folder)
    (folder / "bootstrap.json").write_text(text(bootstrap(sidecar(folder))))
    (folder / "certificate.json").write_text(text(certificate_sds(files(folder))))
    (folder / "roots.json").write_text(text(roots_sds(files(folder))))
    launch = Launch(
        program=binary.find(),
        bootstrap=folder / "bootstrap.json",
        admin=folder / "admin.sock",
        log=folder / "envoy.log",
    )
    envoy = EnvoyProcess(launch)
    try:
        yield envoy
    finally:
        await envoy.stop()


async def answer(folder: Path, query: str) -> str:
    """The admin interface's answer, as soon as there is one."""
    async with asyncio.timeout(30):
        while (reply := await admin.read(folder / "admin.sock", query)).why:
            await asyncio.sleep(0.05)
    return reply.body


@pytest.mark.envoy
async def test_a_real_envoy_starts_from_it_and_is_not_live_without_xds(tmp_path):
    async with running(tmp_path) as envoy:
        assert "osm-xds" in await answer(tmp_path, "clusters")
        assert stat.S_IMODE((tmp_path / "admin.sock").stat().st_mode) == 0o600
        assert not await admin.is_live(tmp_path / "admin.sock")
        served = json.loads(await answer(tmp_path, "certs"))["certificates"]
        assert len(served[0]["cert_chain"]) == 1
        await envoy.stop()
        assert await envoy.ended() == 0
    assert "deprecated" not in (tmp_path / "envoy.log").read_text().lower()


@pytest.mark.envoy
async def test_every_query_of_a_real_envoy_is_answered(tmp_path):
    async with running(tmp_path):
        await answer(tmp_path, "clusters")
        for query in ("clusters", "listeners", "routes", "endpoints", "certs", "config_dump", "stats"):
            reply = await admin.read(tmp_path / "admin.sock", query)
            assert (reply.why, bool(reply.body)) == ("", True), query
