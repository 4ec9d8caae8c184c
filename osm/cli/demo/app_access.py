"""How the demo reaches an app past its sidecar, and how it asks for something from where a workload is.

Apart from `shop`, because it is all that differs between the modes: loopback addresses and HTTP proxies in one, Unix
sockets and network namespaces in the other.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from osm.isolation.network_namespace import NetworkNamespace

_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=30)
_UNIX = "unix:"


@asynccontextmanager
async def to_app(address: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A session with the app at one of its `app_addresses`."""
    unix = address.startswith(_UNIX)
    connector = aiohttp.UnixConnector(address.removeprefix(_UNIX)) if unix else aiohttp.TCPConnector()
    base = "http://app" if unix else f"http://{address}"
    async with aiohttp.ClientSession(base, connector=connector, timeout=_REQUEST_TIMEOUT) as session:
        yield session


@asynccontextmanager
async def from_inside(pid: int) -> AsyncIterator[aiohttp.ClientSession]:
    """A session whose connections begin in the network namespace of a process, redirected as its own are."""
    space = NetworkNamespace.of(pid)
    try:
        connector = aiohttp.TCPConnector(socket_factory=lambda _: space.tcp_socket())
        async with aiohttp.ClientSession(connector=connector, timeout=_REQUEST_TIMEOUT) as session:
            yield session
    finally:
        space.close()
