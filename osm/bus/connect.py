"""From a URL to a bus: the one place that knows which adapter a URL means.

`unix:/path` (an embedded mesh, reading only), `nats://host:port` and `tls://host:port`. `memory:` is refused:
such a bus is made by whoever runs the whole mesh in one process (`MemoryCore`), and cannot be reached by a URL.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from osm.bus import Bus, BusError
from osm.bus.nats_settings import NatsSettings
from osm.bus.socket import SocketBus

FORMS = "unix:/path, nats://host:port, tls://host:port"


@asynccontextmanager
async def connect(url: str, name: str, nats: NatsSettings | None = None) -> AsyncIterator[Bus]:
    """The bus at `url`, for the service (or user) `name`, while the context is open.

    Raises BusError for a URL of another form, a missing or readable-by-others file of credentials or keys, or a server
    that refuses these credentials. A NATS server that is not there yet is waited for: see `Bus.ready`.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "memory":
        raise BusError(f"bus {url}: memory reaches only one process (`osm up`), allowed here are {FORMS}")
    if scheme == "unix" and rest.startswith("/"):
        yield SocketBus(Path(rest), name)
    elif scheme in ("nats", "tls") and _names_a_server(url):
        from osm.bus.nats import open_nats  # noqa: PLC0415  # half of the start-up time of a CLI that has no NATS

        async with open_nats(url, name, nats or NatsSettings()) as bus:
            yield bus
    else:
        raise BusError(f"bus {url}: no such form of address, allowed are {FORMS}")


def _names_a_server(url: str) -> bool:
    try:
        found = urlsplit(url)
        return bool(found.hostname) and found.port != 0
    except ValueError:  # of a port that is no number
        return False
