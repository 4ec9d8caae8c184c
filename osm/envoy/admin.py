"""Read-only questions to one Envoy's admin interface, over its Unix socket.

The only place that knows the interface's paths. What changes an Envoy (quit, drain, log levels) is not asked here.
"""

from pathlib import Path
from urllib.parse import quote

import aiohttp
from yarl import URL

from osm.contracts.status import AdminReply

PATHS = {
    "clusters": "/clusters?format=json",
    "listeners": "/listeners?format=json",
    "routes": "/config_dump?resource=dynamic_route_configs",
    "endpoints": "/config_dump?include_eds&resource=dynamic_endpoint_configs",
    "certs": "/certs",
    "config_dump": "/config_dump?include_eds",
    "stats": "/stats?usedonly",
}
"""Query → the page that answers it, for pages that need more than their name."""

TIMEOUT_S = 10.0
"""For a page. A config dump of thousands of clusters takes Envoy a second, on a busy machine several."""

LIVE_WITHIN_S = 3.0
"""For a word; without it, Envoy is stuck."""

_EXCERPT_CHARS = 200


class NoReply(Exception):
    """The admin interface did not answer; the message says why."""


async def read(socket: Path, query: str, names: str = "") -> AdminReply:
    """The answer to one of `AdminQuery`'s queries; `why` is set if there is none. `names` (RE2) is for `stats`."""
    chosen = f"&filter={quote(names)}" if names and query == "stats" else ""
    try:
        status, body, content_type = await _get(socket, PATHS[query] + chosen, TIMEOUT_S)
    except NoReply as error:
        return AdminReply(why=str(error))
    if status == 404 and "resource=" in PATHS[query]:  # Envoy's word for none of them
        return AdminReply(body='{"configs": []}', content_type="application/json")
    if status != 200:
        return AdminReply(why=f"Envoy answered {status} to {query}: {body.strip()[:_EXCERPT_CHARS]}")
    return AdminReply(body=body, content_type=content_type)


async def is_live(socket: Path) -> bool:
    """Whether the Envoy has all the configuration it waits for and serves."""
    try:
        status, _, _ = await _get(socket, "/ready", LIVE_WITHIN_S)
    except NoReply:
        return False
    return status == 200


async def _get(socket: Path, path: str, within_s: float) -> tuple[int, str, str]:
    """Raises NoReply."""
    timeout = aiohttp.ClientTimeout(total=within_s)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=timeout) as session,
            session.get(URL(f"http://envoy{path}", encoded=True)) as response,
        ):
            return response.status, await response.text(), response.content_type
    except TimeoutError as error:
        raise NoReply(f"no answer at {socket} within {within_s:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise NoReply(f"no answer at {socket}: {error}") from error
