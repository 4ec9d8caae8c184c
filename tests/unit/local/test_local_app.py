"""The whole agent with real processes; in place of an Envoy a program that answers like its admin interface."""

import asyncio
import os
import signal
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from osm.bus import BusError
from osm.bus.memory import MemoryCore
from osm.contracts.channels import BUNDLE, IDENTITY, PROXY_ADMIN, SIGN
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity
from osm.contracts.status import AdminQuery
from osm.contracts.trust import Bundle, Chain, SignReply
from osm.envoy.binary import NoEnvoy
from osm.pki import issuing
from osm.pki.keys import make_key, read_csr
from osm.pki.reading import chain_pem
from osm.runtime.health import Health
from services.local.app import BadAddress, run
from services.local.settings import Settings

STAND_IN = """
import asyncio, json, signal, sys

async def answer(reader, writer):
    path = (await reader.readuntil(b"\\r\\n\\r\\n")).split()[1].decode()
    body = f"asked for {path}".encode()
    writer.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body)
    await writer.drain()
    writer.close()

async def main():
    bootstrap = json.load(open(sys.argv[sys.argv.index("--config-path") + 1]))
    path = bootstrap["admin"]["address"]["pipe"]["path"]
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    server = await asyncio.start_unix_server(answer, path)
    await end.wait()
    server.close()

asyncio.run(main())
"""

MANIFESTS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop, namespace: town}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      containers:
        - {name: web, command: [sleep, "600"]}
"""


class Authority:
    """certmgr, as small as it gets: signs whatever is asked; `asked` are the requests."""

    def __init__(self):
        self.asked = []
        self.lifetime_s = 3600
        self._key = make_key()
        self.root = issuing.make_root(
            self._key, trust_domain="cluster.local", now_s=time.time(), lifetime_s=7200, serial=1
        )

    async def sign(self, caller, request):
        self.asked.append((caller, request.subject))
        now_s = time.time()
        leaf = issuing.sign(
            issuing.profile_of(request.subject, "cluster.local"),
            read_csr(request.csr_pem).public_key(),
            issuer=self.root,
            issuer_key=self._key,
            now_s=now_s,
            lifetime_s=self.lifetime_s,
            serial=len(self.asked) + 1,
        )
        end_s = int(now_s) + self.lifetime_s
        chain = Chain(chain_pem=chain_pem([leaf]), issuer="root", not_before_s=int(now_s), not_after_s=end_s)
        return SignReply(outcome=chain)


class Mesh:
    """The agent on a memory bus; everything it says of itself by key."""

    def __init__(self, core, folder, authority):
        self.core = core
        self.folder = folder
        self.authority = authority
        self.cli = core.bus("cli")

    async def until(self, bucket, condition):
        """The bucket's values by key, as soon as the condition holds of them."""
        seen = {}
        async with asyncio.timeout(30):
            async for update in self.cli.watch(bucket):
                seen = {} if update.full else seen
                for document in update.documents:
                    seen.pop(document.key, None)
                    if not document.deleted:
                        seen[document.key] = document.value
                if condition(seen):
                    return seen
        raise AssertionError

    async def ready(self, key="process.shop-0_town"):
        seen = await self.until("status", lambda seen: key in seen and seen[key].state == "ready")
        return seen[key]


def settings(tmp_path, **others):
    envoy = tmp_path / "stand-in-envoy"
    envoy.write_text(f"#!{sys.executable}\n{STAND_IN}")
    envoy.chmod(0o755)
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "shop.yaml").write_text(MANIFESTS)
    given = {
        "folder": str(manifests),
        "run_folder": str(tmp_path / "run"),
        "block": 202,
        "envoy": str(envoy),
        "drain_s": 0,
        "keep_running": False,
    }
    return Settings(**{**given, **others})


@asynccontextmanager
async def mesh(tmp_path, authority=None, *, meshed=True, **others):
    core, authority = MemoryCore(), authority or Authority()
    given = settings(tmp_path, **others)
    async with AsyncExitStack() as stack:
        certmgr = core.bus("certmgr")
        await stack.enter_async_context(certmgr.serve(SIGN, authority.sign))
        writer = await stack.enter_async_context(certmgr.writer("certmgr"))
        bundle = Bundle(trust_domain="cluster.local", roots_pem=(chain_pem([authority.root]),))
        await writer.publish({BUNDLE.key("cluster.local"): bundle})
        endpoints = await stack.enter_async_context(core.bus("endpoints").writer("endpoints"))
        meshspec = await stack.enter_async_context(core.bus("meshspec").writer("meshspec"))
        await meshspec.publish({})
        identity = Identity("town", "default")
        await endpoints.publish({IDENTITY.key("town", "default"): MeshIdentity(identity=identity)} if meshed else {})
        task = asyncio.create_task(run(core.bus("local"), given, Health("local", "one", "test", 0.0)))
        try:
            yield Mesh(core, tmp_path, authority)
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), task.exception()


async def test_a_folder_becomes_running_workloads(tmp_path):
    async with mesh(tmp_path) as here:
        line = await here.ready()
        assert line.http_proxy.startswith("127.202.")
        assert line.http_proxy.endswith(":15001")
        local = await here.until("local", lambda seen: seen["workload.shop-0_town"].ready)
        assert str(local["workload.shop-0_town"].identity) == "town/default"
        ((caller, subject),) = here.authority.asked
        assert (caller, subject.proxy_id) == ("local", "shop-0.town")


async def test_no_certificate_is_asked_for_before_the_account_is_in_the_mesh(tmp_path):
    async with mesh(tmp_path, meshed=False) as here:
        key = "process.shop-0_town"
        seen = await here.until("status", lambda seen: key in seen)
        assert seen[key].why == "waiting for its account to be in the mesh"
        assert here.authority.asked == []


async def test_a_workload_that_is_taken_out_of_the_folder_goes(tmp_path):
    async with mesh(tmp_path) as here:
        await here.ready()
        (tmp_path / "manifests" / "shop.yaml").unlink()
        await here.until("local", lambda seen: seen == {})
        await here.until("status", lambda seen: not any(key.startswith(("process", "object")) for key in seen))
        assert not (tmp_path / "run" / "workloads" / "shop-0.town" / "certificate.json").exists()


async def test_a_users_mistake_is_said_of_the_object_and_the_rest_runs(tmp_path):
    async with mesh(tmp_path) as here:
        bad = MANIFESTS.replace("name: shop,", "name: bad,").replace("sleep", "no-such-program")
        (tmp_path / "manifests" / "bad.yaml").write_text(bad)
        key = "object.local.Deployment.town.bad"
        seen = await here.until("status", lambda seen: key in seen and seen[key].problems)
        (problem,) = seen[key].problems
        assert problem.field == "spec.template.spec.containers[0].command[0]"
        assert problem.line == 11
        await here.ready()


async def test_the_envoys_are_asked_on_behalf_of_the_cli(tmp_path):
    async with mesh(tmp_path) as here:
        await here.ready()
        reply = await here.cli.ask(PROXY_ADMIN, AdminQuery(proxy_id="shop-0.town", query="certs"))
        assert reply.body == "asked for /certs"
        none = await here.cli.ask(PROXY_ADMIN, AdminQuery(proxy_id="depot-0.town", query="certs"))
        assert none.why == "no proxy depot-0.town runs here; running are shop-0.town"


async def test_a_certificate_is_renewed_before_it_ends_without_a_restart(tmp_path):
    authority = Authority()
    authority.lifetime_s = 2
    async with mesh(tmp_path, authority) as here:
        before = await here.ready()
        certificate = tmp_path / "run" / "workloads" / "shop-0.town" / "certificate.json"
        first = certificate.read_text()
        async with asyncio.timeout(30):
            while certificate.read_text() == first:
                await asyncio.sleep(0.02)
        assert (await here.ready()) == before


async def test_an_envoy_that_dies_is_started_again(tmp_path):
    async with mesh(tmp_path) as here:
        before = await here.ready()
        os.kill(before.envoy_pid, signal.SIGKILL)
        await here.until("local", lambda seen: not seen["workload.shop-0_town"].ready)
        after = await here.ready()
        assert after.app_pid == before.app_pid
        assert after.envoy_pid != before.envoy_pid


async def test_an_agent_without_an_envoy_says_how_to_get_one(tmp_path):
    given = settings(tmp_path, envoy="/no/such/envoy")
    with pytest.raises(NoEnvoy, match="no program at /no/such/envoy"):
        await run(MemoryCore().bus("local"), given, Health("local", "one", "test", 0.0))


async def test_an_address_of_xds_that_is_none_is_named(tmp_path):
    with pytest.raises(BadAddress, match="expected host:port"):
        await run(MemoryCore().bus("local"), settings(tmp_path, xds="here"), Health("local", "one", "test", 0.0))


async def test_only_the_cli_may_ask(tmp_path):
    async with mesh(tmp_path) as here:
        with pytest.raises(BusError):
            await here.core.bus("catalog").ask(PROXY_ADMIN, AdminQuery(proxy_id="shop-0.town", query="certs"))
