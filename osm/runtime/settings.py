"""Settings from the environment: one frozen struct per service, read once, wrong values named.

A service's struct extends `Common`. A field of `Common` is read from `OSM_<FIELD>` (`OSM_LOG_LEVEL`), or from
`OSM_<SERVICE>_<FIELD>` where one service must differ; a field of the service's own from `OSM_<SERVICE>_<FIELD>` alone.
The docstrings of the fields are what `docs/settings.md` is made from. Do not call a field `port` or `service_…`:
Kubernetes puts `OSM_XDS_PORT=tcp://…` into every pod beside a Service named osm-xds.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Literal, TypeVar, get_args, get_origin

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

PREFIX = "OSM_"

_KUBERNETES = re.compile(r"_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT(_|$)")
"""How the variables end that Kubernetes adds for every Service of the namespace."""


_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
"""Of labels as in DNS: it is part of a URI, of names in certificates and of a key on the bus."""

MAX_DOMAIN = 253
"""Characters of a DNS name (RFC 1035, section 2.3.4)."""

LogLevel = Literal["debug", "info", "warning", "error"]


class BadSetting(ValueError):
    """A variable is missing or holds what it may not; the message names it, what was found and what is allowed."""


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """What all services share."""

    trust_domain: str = "cluster.local"
    """The trust domain of every certificate; no `_` in it, since keys on the bus use that for `.`."""
    log_level: LogLevel = "info"
    """debug, info, warning or error."""
    bus: str = "memory:"
    """`memory:` (one process only), `nats://host:port` or `tls://host:port`."""
    replica: str = ""
    """This process among its service's replicas; the pod's name, or made from host and pid if empty."""
    http: str = ""
    """Where /healthz, /readyz and /metrics are served: `host:port` or `unix:/path`; empty serves none."""
    metrics_token_file: str = ""
    """A file with the bearer token that /metrics asks for; without it /metrics is served on a Unix socket only."""
    otlp_endpoint: str = ""
    """Where traces go (OTLP over HTTP, such as `http://collector:4318/v1/traces`); empty keeps the latest in memory."""

    def __post_init__(self) -> None:
        if len(self.trust_domain) > MAX_DOMAIN or not _DOMAIN.fullmatch(self.trust_domain):
            raise ValueError(f"trust_domain: found {self.trust_domain!r}, allowed are lower-case DNS names without `_`")


def read(kind: type[T], environment: Mapping[str, str], prefix: str = PREFIX) -> T:
    """Every field from `<prefix><FIELD>`. Raises BadSetting."""
    return _convert(kind, environment, {field: prefix + field.upper() for field in _fields(kind)})


def read_service(kind: type[T], environment: Mapping[str, str], service: str) -> T:
    """A service's settings: its own variables, and the common ones unless it has its own. Raises BadSetting."""
    own = service_prefix(service)
    shared = set(_fields(Common)) if issubclass(kind, Common) else set()
    names = {
        field: PREFIX + field.upper()
        if field in shared and own + field.upper() not in environment
        else own + field.upper()
        for field in _fields(kind)
    }
    return _convert(kind, environment, names)


def service_prefix(service: str) -> str:
    return f"{PREFIX}{service.upper().replace('-', '_')}_"


def misspelt(kind: type[msgspec.Struct], environment: Mapping[str, str], service: str) -> tuple[str, ...]:
    """Variables with the service's prefix that nothing reads but that resemble a setting: a warning each."""
    prefix = service_prefix(service)
    known = {prefix + field.upper() for field in (*_fields(kind), *_fields(Common))}
    strangers = sorted(
        name for name in environment if name.startswith(prefix) and name not in known and not _KUBERNETES.search(name)
    )
    return tuple(
        f"{name}: no such setting, nearest is {nearest[0]}"
        for name in strangers
        if (nearest := difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8))
    )


def _fields(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return kind.__struct_fields__


def _convert(kind: type[T], environment: Mapping[str, str], variables: Mapping[str, str]) -> T:
    found = {field: environment[variable] for field, variable in variables.items() if variable in environment}
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise BadSetting(_sentence(str(error), variables, found, _choices(kind))) from error


def _choices(kind: type[msgspec.Struct]) -> Mapping[str, str]:
    """What is allowed in the fields that take one of a few words."""
    return {
        field.name: f"allowed are {', '.join(map(str, get_args(field.type)))}"
        for field in msgspec.structs.fields(kind)
        if get_origin(field.type) is Literal
    }


def _sentence(error: str, variables: Mapping[str, str], found: Mapping[str, str], choices: Mapping[str, str]) -> str:
    """msgspec's complaint in terms of variables: it names a field by path, a struct's own check by its first word."""
    what, _, path = error.partition(" - at `$")
    field = path.lstrip(".").rstrip("`").partition("[")[0]
    if field in found:
        allowed = choices.get(field) or f"{what[:1].lower()}{what[1:]}"
        return f"{variables[field]}: found {found[field]!r}, {allowed}"
    own, _, rest = error.partition(": ")
    if own in variables:
        return f"{variables[own]}: {rest}"
    missing = error.rpartition("field `")[2].rstrip("`")
    if missing in variables:
        return f"{variables[missing]}: missing, and there is no default"
    return error
