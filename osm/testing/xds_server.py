"""An xDS server whose resources a test sets from Python: the engine alone, without a mesh.

A real Envoy that forwards port 10000 to 8080, in ten lines:

    import asyncio
    from pathlib import Path
    from envoy.config.cluster.v3.cluster_pb2 import Cluster
    from envoy.config.listener.v3.listener_components_pb2 import Filter
    from envoy.config.listener.v3.listener_pb2 import Listener
    from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
    from osm.testing.xds_bootstrap import xds_bootstrap
    from osm.testing.xds_server import xds_server

    async with xds_server() as xds:
        Path("envoy.json").write_text(xds_bootstrap(xds.port))
        envoy = await asyncio.create_subprocess_exec("envoy", "-c", "envoy.json", "--disable-hot-restart")
        to_web = Filter(name="tcp")
        to_web.typed_config.Pack(TcpProxy(stat_prefix="web", cluster="web"))
        here, app = ({"socket_address": {"address": "127.0.0.1", "port_value": port}} for port in (10000, 8080))
        of_web = {"cluster_name": "web", "endpoints": [{"lb_endpoints": [{"endpoint": {"address": app}}]}]}
        xds.put(Cluster(name="web", load_assignment=of_web))
        xds.put(Listener(name="in", address=here, filter_chains=[{"filters": [to_web]}]))
        await xds.until(lambda: len(xds.acks) == 2)  # it has taken both; `xds.rejections` are its NACKs

Later `xds.put`, `xds.set`, `xds.remove` and `xds.replace` change what it has, and `await xds.acked()` waits until every
connected proxy has answered all of that.
All proxies share one configuration unless `group_of` tells them apart.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from google.protobuf.message import Message

from osm.ads.credentials import ServerIdentity
from osm.ads.engine import Engine
from osm.ads.peer import Authorize, StreamInfo
from osm.ads.resource import Resource
from osm.ads.server import AdsServer, ServerSettings
from osm.ads.types import ENDPOINT

EVERYONE = "everyone"


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A NACK: from whom, about what, in the proxy's words. No names while the culprit is being searched for."""

    node_id: str
    type_url: str
    names: tuple[str, ...]
    detail: str


class XdsServer:
    """Resources by group, and what the proxies made of them. Open it with `xds_server`."""

    def __init__(self) -> None:
        self.engine = Engine()
        self.port = 0
        self.server: AdsServer | None = None
        self.streams: dict[int, StreamInfo] = {}
        self.turned_away: list[str] = []  # why streams were not admitted
        self.disconnections: list[tuple[str, str]] = []  # node id and reason
        self.rejections: list[Rejection] = []
        self.acks: list[tuple[str, str]] = []  # node id and type URL
        self._revision = 0
        self._news = asyncio.Event()
        self._replace(EVERYONE, {})

    def set(self, type_url: str, *messages: Message, group: Hashable = EVERYONE) -> None:
        """Make these all the resources of one type."""
        types = {url: dict(of_type) for url, of_type in self.engine.resources(group).items()}
        types[type_url] = {resource.name: resource for resource in map(resource_of, messages)}
        self._replace(group, types)

    def replace(self, *messages: Message, group: Hashable = EVERYONE) -> None:
        """Make these all the resources there are, of every type, at once."""
        types: dict[str, dict[str, Resource]] = {}
        for resource in map(resource_of, messages):
            types.setdefault(resource.type_url, {})[resource.name] = resource
        self._replace(group, types)

    def put(self, *messages: Message, group: Hashable = EVERYONE) -> None:
        """Add or change resources, all in one step."""
        types = {url: dict(of_type) for url, of_type in self.engine.resources(group).items()}
        for resource in map(resource_of, messages):
            types.setdefault(resource.type_url, {})[resource.name] = resource
        self._replace(group, types)

    def remove(self, type_url: str, *names: str, group: Hashable = EVERYONE) -> None:
        """Remove resources of one type."""
        types = {url: dict(of_type) for url, of_type in self.engine.resources(group).items()}
        types[type_url] = {name: r for name, r in types.get(type_url, {}).items() if name not in names}
        self._replace(group, types)

    async def acked(self) -> None:
        """Wait until every connected proxy has accepted or rejected everything."""
        await self.until(lambda: self.engine.acked_revision() >= self._revision)

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Wait until `predicate` holds; it is looked at after each connection, answer and disconnection."""
        while not predicate():
            self._news.clear()
            await self._news.wait()

    @property
    def open_streams(self) -> int:
        """Those included that have not been admitted, or that end."""
        return self.server.streams if self.server is not None else 0

    def happened(self) -> None:
        """Look again at what is waited for."""
        self._news.set()

    def _replace(self, group: Hashable, types: dict[str, dict[str, Resource]]) -> None:
        self._revision += 1
        self.engine.replace(group, types, revision=self._revision)
        self.engine.advance(self._revision)


class _Notes:
    """The engine's observer: writes down what happens."""

    def __init__(self, server: XdsServer) -> None:
        self._server = server

    def turned_away(self, address: str, why: str) -> None:
        del address  # a port of the test's own machine
        self._server.turned_away.append(why)
        self._server.happened()

    def connected(self, stream: StreamInfo) -> None:
        self._server.streams[stream.id] = stream
        self._server.happened()

    def disconnected(self, stream: StreamInfo, reason: str) -> None:
        self._server.streams.pop(stream.id, None)
        self._server.disconnections.append((stream.node_id, reason))
        self._server.happened()

    def acked(self, stream: StreamInfo, type_url: str) -> None:
        self._server.acks.append((stream.node_id, type_url))
        self._server.happened()

    def rejected(self, stream: StreamInfo, type_url: str, resources: tuple[Resource, ...], detail: str) -> None:
        names = tuple(resource.name for resource in resources)
        self._server.rejections.append(Rejection(node_id=stream.node_id, type_url=type_url, names=names, detail=detail))
        self._server.happened()


def resource_of(message: Message) -> Resource:
    """A resource by its own name; an EDS cluster gets its load assignment as companion."""
    name = str(getattr(message, "cluster_name", "") or getattr(message, "name", ""))
    companions: tuple[tuple[str, str], ...] = ()
    if isinstance(message, cluster_pb2.Cluster) and message.type == cluster_pb2.Cluster.EDS:
        companions = ((ENDPOINT, message.eds_cluster_config.service_name or name),)
    return Resource.of(name, message, companions=companions)


@asynccontextmanager
async def xds_server(
    *,
    group_of: Callable[[str], Hashable | None] = lambda _node_id: EVERYONE,
    authorize: Authorize | None = None,
    identity: Callable[[], ServerIdentity] | None = None,
    settings: ServerSettings | None = None,
) -> AsyncIterator[XdsServer]:
    """Serve on a free loopback port for the length of the block; plaintext unless an `identity` is given.

    `group_of` tells a node's group (None holds it); `authorize` replaces it where the certificate matters.
    A group is served once it has been given anything; `EVERYONE` is, empty, from the start.
    """
    xds = XdsServer()
    server = AdsServer(
        xds.engine,
        authorize=authorize or (lambda _peer, node_id: group_of(node_id)),
        observer=_Notes(xds),
        identity=identity,
        settings=settings,
    )
    xds.server = server
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(server.run(started.set_result))
        xds.port = await started
        try:
            yield xds
        finally:
            running.cancel()
