"""What connects to xds: light proxies that come and go as Envoy does, and real Envoys."""

import asyncio
import random
from contextlib import asynccontextmanager

from osm.ads.types import CLUSTER, LISTENER, SECRET
from osm.contracts.names import Address
from osm.envoy.process import EnvoyProcess
from osm.testing.ads_client import ads_client
from osm.testing.sidecar_folder import launch_of, write_bootstrap, write_certificate
from tests.envoy.admin_page import page
from tests.envoy.xds_world import PATIENCE_S, WEB

EVERYTHING = {CLUSTER: (), LISTENER: ()}


class Proxies:
    """Light proxies that come back whenever their stream ends, with what they hold, as Envoy does."""

    def __init__(self, world, names):
        self.names = names
        self.moves = dict.fromkeys(names, 0)
        self.again: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
        self._world = world

    async def live(self, name):
        identity, held, asked = await self._world.client(name), {}, EVERYTHING
        while True:
            async with ads_client(
                self._world.listen, node_id=name, identity=identity, subscribe=asked, initial_versions=held
            ) as client:
                client.versions = {kind: dict(versions) for kind, versions in held.items()}
                try:
                    await client.end()
                finally:
                    self._note(name, held, client)
                held = client.versions
                asked = EVERYTHING | {kind: sorted(names) for kind, names in client.names.items() if names}
            self.moves[name] += 1
            await asyncio.sleep(random.uniform(0.02, 0.2))

    def _note(self, name, held, client):
        """What was sent though it was held in that version, and secrets sent anew."""
        for received in client.received:
            for resource, version in received.versions.items():
                before = held.get(received.type_url, {}).get(resource)
                if before == version or (before and received.type_url == SECRET):
                    self.again[name].append((received.type_url, resource))


@asynccontextmanager
async def light(world, names):
    proxies = Proxies(world, names)
    async with asyncio.TaskGroup() as tasks:
        lives = [tasks.create_task(proxies.live(name)) for name in names]
        yield proxies
        for life in lives:
            life.cancel()


@asynccontextmanager
async def envoy(world, proxy):
    """A real one; its folder."""
    folder = world.folder / proxy
    folder.mkdir()
    key, chain = await world.certificate(proxy)
    host, _, port = world.listen.rpartition(":")
    write_certificate(folder, key_pem=key.decode(), chain_pem=chain.decode(), roots_pem=world.roots)
    write_bootstrap(folder, proxy, WEB, Address(host, int(port)))
    process = EnvoyProcess(launch_of(folder))
    try:
        await asyncio.wait_for(process.live(), PATIENCE_S)
        yield folder
    finally:
        await process.stop()


async def stats(folder):
    lines = (await page(folder / "admin.sock", "stats")).splitlines()
    return {name: int(value) for name, _, value in (line.rpartition(": ") for line in lines) if value.isdecimal()}


def names(count):
    return [f"web-{number}.shop" for number in range(count)]
