"""The bus as a cluster has it: the chart's users, the Secrets of `osm prepare`, our services connecting with them."""

import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from osm.bus import BusError
from osm.bus.connect import connect
from osm.bus.nats_keys import OWNERS
from osm.bus.nats_settings import NatsSettings
from osm.cli.kubernetes.chart import chart_path
from osm.cli.kubernetes.mesh_secrets import BUS_TLS, BUS_USERS, Data, Mesh, due
from osm.contracts.channels import BUNDLE
from osm.contracts.trust import Bundle
from osm.testing.nats_server import nats_server

MESH = Mesh(
    namespace="osm-system", trust_domain="cluster.local", cluster_domain="cluster.local", root_secret="osm-ca-bundle"
)


def mounted(folder: Path, data: Data) -> NatsSettings:
    """As a pod has a Secret, and as the chart names its files."""
    folder.mkdir()
    for name, body in data.items():
        (folder / name).write_bytes(body)
        (folder / name).chmod(0o400)
    return NatsSettings(
        ca_file=str(folder / "ca.crt"),
        password_file=str(folder / "password"),
        writers_file=str(folder / "writers.json"),
        signing_key_file=str(folder / "signing.key") if "signing.key" in data else "",
    )


@pytest.fixture(scope="module")
def secrets() -> Mapping[str, Data]:
    return due({}, MESH, time.time())


@pytest.fixture
async def url(binary: Path, secrets: Mapping[str, Data], tmp_path: Path) -> AsyncIterator[str]:
    for name, body in secrets[BUS_TLS].items():
        (tmp_path / name).write_bytes(body)
    passwords = "".join(f'{name}: "{value.decode()}"\n' for name, value in secrets[BUS_USERS].items())
    users = (chart_path() / "files" / "users.conf").read_text()
    tls = f'tls {{ cert_file: "{tmp_path / "tls.crt"}", key_file: "{tmp_path / "tls.key"}" }}\n'
    async with nats_server(binary, extra=f"{passwords}{tls}{users}") as server:
        yield server.url.replace("nats:", "tls:")


async def test_every_service_writes_its_bucket_with_its_secret(
    url: str, secrets: Mapping[str, Data], tmp_path: Path
) -> None:
    for user in OWNERS:
        settings = mounted(tmp_path / user, secrets[f"osm-nats-{user}"])
        async with connect(url, user, settings) as bus, bus.writer(user) as writer:
            await writer.publish({})


async def test_what_certmgr_signs_xds_and_the_cli_believe(
    url: str, secrets: Mapping[str, Data], tmp_path: Path
) -> None:
    settings = {
        user: mounted(tmp_path / user, secrets[f"osm-nats-{user}"]) for user in ("certmgr", "xds", "cli", "injector")
    }
    bundle = Bundle(trust_domain="cluster.local", roots_pem=("a root",))
    async with connect(url, "certmgr", settings["certmgr"]) as bus, bus.writer("certmgr") as writer:
        await writer.publish({BUNDLE.key("cluster.local"): bundle})
        for user in ("xds", "cli", "injector"):
            async with connect(url, user, settings[user]) as reader:
                async for update in reader.watch("certmgr"):
                    if update.full:
                        assert [each.key for each in update.documents] == [BUNDLE.key("cluster.local")]
                        break


async def test_the_password_of_another_mesh_opens_nothing(
    url: str, secrets: Mapping[str, Data], tmp_path: Path
) -> None:
    password = due({}, MESH, time.time())["osm-nats-xds"]["password"]
    other = mounted(tmp_path / "other", {**secrets["osm-nats-xds"], "password": password})
    with pytest.raises(BusError, match="the server refuses xds"):
        await connect(url, "xds", other).__aenter__()
