"""MeshConfig's `inboundExternalAuthorization`: whom sidecars ask about requests.

Apart from the other settings, because others' security rests on it: what is wrong in it is an error, never a default.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address

from osm.contracts.names import DnsName
from osm.contracts.policy import ExternalAuthorization
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.naming import pattern
from osm.manifests.wording import shown
from osm.smi import meshconfig
from osm.smi.durations import wait_problems, whole_ms

PATH = "spec.traffic.inboundExternalAuthorization"

DEFAULT_STAT_PREFIX = "inboundExtAuthz"
"""OSM's."""

DEFAULT_TIMEOUT_MS = 1000
"""OSM's."""

_HOST = pattern(DnsName)
_STAT_PREFIX = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def authorizer(raw: RawDocument, fields: meshconfig.ExternalAuthorization | None) -> ExternalAuthorization | None:
    """None if nobody is asked. To be used only if `authorizer_problems` finds none."""
    if fields is None or not fields.enable or not fields.address or fields.port is None:
        return None
    return ExternalAuthorization(
        origin=raw.ref,
        address=fields.address,
        port=fields.port,
        stat_prefix=fields.stat_prefix or DEFAULT_STAT_PREFIX,
        timeout_ms=whole_ms(fields.timeout) or DEFAULT_TIMEOUT_MS,
        failure_mode_allow=bool(fields.failure_mode_allow),
    )


def authorizer_problems(raw: RawDocument, fields: meshconfig.ExternalAuthorization | None) -> Iterator[Problem]:
    """Of one that is switched on; what is said of one that is not is of no consequence."""
    if fields is None or not fields.enable:
        return
    if not fields.address or not is_host(fields.address):
        what = f"expected a host name or an IP address, without scheme and port, found {shown(fields.address)}"
        yield raw.problem(f"{PATH}.address", what)
    if fields.port is None:
        yield raw.problem(f"{PATH}.port", "expected a port, 1 to 65535, found nothing")
    if fields.stat_prefix and not _STAT_PREFIX.fullmatch(fields.stat_prefix):
        what = f"expected letters, digits, `_`, `-` and `.`, found {shown(fields.stat_prefix)}"
        yield raw.problem(f"{PATH}.statPrefix", what)
    if fields.timeout:
        yield from wait_problems(raw, f"{PATH}.timeout", fields.timeout)


def is_host(text: str) -> bool:
    """An address without a zone (RFC 4007), which means nothing to another machine."""
    try:
        return bool(ip_address(text)) and "%" not in text
    except ValueError:
        return _HOST.fullmatch(text) is not None
