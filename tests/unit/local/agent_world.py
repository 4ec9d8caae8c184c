"""The whole agent with real processes; in place of an Envoy a program that answers like its admin interface."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec

from osm.bus.memory import MemoryCore
from osm.contracts.channels import BUNDLE, IDENTITY, SIGN
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity
from osm.contracts.trust import Bundle, Chain, SignReply
from osm.pki import issuing
from osm.pki.keys import make_key, read_csr
from osm.pki.reading import chain_pem
from osm.runtime.health import Health
from osm.testing.picture import values_when
from services.local.app import run
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
    """A memory bus with all that the agent needs, and agents that come and go; what they say of themselves by key."""

    def __init__(self, core, folder, authority, given):
        self.core = core
        self.folder = folder
        self.authority = authority
        self.given = given
        self.cli = core.bus("cli")

    @asynccontextmanager
    async def agent(self, **others):
        """One from start to end. Waits until it has read the folder, unless it cannot."""
        given = msgspec.structs.replace(self.given, **others)
        health, active = Health("local", "one", "test", 0.0), asyncio.Event()
        health.on_change(lambda status: active.set() if status.state == "active" else None)
        task = asyncio.create_task(run(self.core.bus("local"), given, health))
        try:
            await asyncio.wait([task, waiting := asyncio.create_task(active.wait())], return_when="FIRST_COMPLETED")
            waiting.cancel()
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled(), task.exception()

    async def until(self, bucket, condition):
        """The bucket's values by key, as soon as the condition holds of them."""
        return await values_when(self.cli.watch(bucket), condition)

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
async def platform(tmp_path, authority=None, *, meshed=True, **others):
    """All but an agent."""
    core, authority = MemoryCore(), authority or Authority()
    given = settings(tmp_path, **others)
    async with AsyncExitStack() as stack:
        certmgr = core.bus("certmgr")
        await stack.enter_async_context(certmgr.serve(SIGN, authority.sign))
        writer = await stack.enter_async_context(certmgr.writer("certmgr"))
        bundle = Bundle(trust_domain="cluster.local", roots_pem=(chain_pem([authority.root]),))
        await writer.publish({BUNDLE.key("cluster.local"): bundle})
        endpoints = await stack.enter_async_context(core.bus("endpoints").writer("endpoints"))
        identity = Identity("town", "default")
        await endpoints.publish({IDENTITY.key("town", "default"): MeshIdentity(identity=identity)} if meshed else {})
        here = Mesh(core, tmp_path, authority, given)
        here.meshspec = await stack.enter_async_context(core.bus("meshspec").writer("meshspec"))
        await here.meshspec.publish({})
        yield here


@asynccontextmanager
async def mesh(tmp_path, authority=None, **others):
    """With an agent that runs."""
    async with platform(tmp_path, authority, **others) as here, here.agent():
        yield here
