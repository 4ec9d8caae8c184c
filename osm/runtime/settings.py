"""Settings from the environment: one frozen struct per service, read once, wrong values named.

A struct's field `listen` is read from `OSM_LISTEN` (or `OSM_XDS_LISTEN` with prefix `OSM_XDS_`); its docstrings are
the documentation that `docs/settings.md` is made from.
"""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class BadSetting(ValueError):
    """A variable is missing or holds what it may not; the message names it, what was found and what is allowed."""


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What all services share."""

    trust_domain: str = "cluster.local"
    """The trust domain of every certificate; no `_` in it, since keys on the bus use that for `.`."""
    log_level: str = "info"
    """debug, info, warning or error."""
    bus: str = "memory:"
    """`memory:` (one process only), `nats://host:port` or `tls://host:port`."""
    replica: str = ""
    """This process among its service's replicas; the pod's name, or made from host and pid if empty."""
    http: str = ""
    """Where /healthz, /readyz and /metrics are served: `host:port` or `unix:/path`; empty serves none."""
    otlp_endpoint: str = ""
    """Where traces go (OTLP over HTTP); empty keeps them in the process."""


def read(kind: type[T], environment: Mapping[str, str], prefix: str = "OSM_") -> T:
    """Raises BadSetting."""
    found = {
        field.name: environment[variable]
        for field in msgspec.structs.fields(kind)
        if (variable := prefix + field.name.upper()) in environment
    }
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        where = str(error).rpartition("`$.")[2].strip("`")
        variable = prefix + where.upper() if where else prefix + "…"
        raise BadSetting(f"{variable}: {error} (found {found.get(where)!r})") from error
