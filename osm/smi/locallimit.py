"""Limits that a sidecar counts itself, as an UpstreamTrafficSetting writes them, and how a refusal is answered.

Apart from `ratelimit`, which has those that are counted elsewhere, and those of paths.
"""

import re
from collections.abc import Iterator

from osm.contracts.problem import Problem
from osm.contracts.traffic_settings import Allowance, Count, LocalHttpLimit, Some, Unit
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.wording import shown
from osm.smi.specs import HEADER_NAME

STATUSES = frozenset({*range(400, 418), 421, 422, 423, 424, 426, 428, 429, 431, *range(500, 509), 510, 511})
"""Those that Envoy has names for; it refuses others."""

MAX_HEADERS = 10
"""Envoy adds no more to a refusal."""

OWN_HEADERS = frozenset({"connection", "content-length", "host", "transfer-encoding"})
"""Of Envoy alone: it refuses to add the third, and says the others itself."""

_LINE_BREAK = re.compile(r"[\r\n\0]")


class Header(Fields, frozen=True, kw_only=True):
    """Of an answer."""

    name: str
    value: str


class LocalTcp(Fields, frozen=True, kw_only=True):
    """New connections."""

    connections: Some
    unit: Unit
    burst: Count = 0


class LocalHttp(Fields, frozen=True, kw_only=True):
    """Requests."""

    requests: Some
    unit: Unit
    burst: Count = 0
    response_status_code: int = 429
    response_headers_to_add: tuple[Header, ...] = ()


class Local(Fields, frozen=True, kw_only=True):
    """Counted by each sidecar of the service for itself."""

    tcp: LocalTcp | None = None
    http: LocalHttp | None = None


def allowed_connections(said: LocalTcp | None) -> Allowance | None:
    return Allowance(count=said.connections, unit=said.unit, burst=said.burst) if said else None


def allowed_requests(said: LocalHttp | None) -> LocalHttpLimit | None:
    if said is None:
        return None
    return LocalHttpLimit(
        allowance=Allowance(count=said.requests, unit=said.unit, burst=said.burst),
        status=said.response_status_code if said.response_status_code in STATUSES else 429,
        headers=tuple((each.name.lower(), each.value) for each in said.response_headers_to_add),
    )


def problems(raw: RawDocument, place: str, said: LocalHttp | None) -> Iterator[Problem]:
    if said is None:
        return
    yield from status_problems(raw, place, said.response_status_code)
    if len(said.response_headers_to_add) > MAX_HEADERS:
        what = f"expected at most {MAX_HEADERS} headers, found {len(said.response_headers_to_add)}"
        yield raw.problem(f"{place}.responseHeadersToAdd", what)
    for at, header in enumerate(said.response_headers_to_add):
        field_ = f"{place}.responseHeadersToAdd[{at}]"
        if not HEADER_NAME.fullmatch(header.name):
            yield raw.problem(f"{field_}.name", f"expected the name of a header, found {shown(header.name)}")
        if header.name.lower() in OWN_HEADERS:
            yield raw.problem(f"{field_}.name", f"{shown(header.name)} is for the sidecar to say; allowed is any other")
        if _LINE_BREAK.search(header.value):
            yield raw.problem(f"{field_}.value", "expected one line of text, found a line break")


def status_problems(raw: RawDocument, place: str, found: int) -> Iterator[Problem]:
    if found not in STATUSES:
        what = f"expected a status from 400 to 599 that HTTP has a name for, found {found}"
        yield raw.problem(f"{place}.responseStatusCode", what)
