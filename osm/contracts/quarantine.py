"""What proxies have rejected, and what is served in its place: the one document that flows back from xds to xds.

It lets a quarantine outlive a restart: what was rejected once is not tried on a proxy again, and a new proxy gets the
last good form although no replica of xds remembers having built it.
"""

from msgspec import Struct

from osm.contracts.names import ObjectRef

BY_TRAFFIC = ""
"""The proxy of a rejection that no single one has made."""


class RejectedResource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A version of a resource that Envoy has refused, in Envoy's words. `at_s`: seconds since the epoch.

    `proxy_id` is empty where Envoy took it, and the traffic of canaries has spoken against it; `reason` says how.
    """

    type_url: str
    name: str
    version: str
    reason: str
    origins: tuple[ObjectRef, ...] = ()
    proxy_id: str
    at_s: float


class GoodResource(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last good form of a resource. `body`: the packed message; `at_s`: when it had to stand in, as above."""

    type_url: str
    name: str
    version: str
    body: bytes
    companions: tuple[tuple[str, str], ...] = ()
    origins: tuple[ObjectRef, ...] = ()
    at_s: float
