"""UpstreamTrafficSetting (OSM v1alpha1): whose traffic it is about, and the limits of connections. `ratelimit` has the
rest of it.

It speaks of a service of its own namespace, by the full name in DNS: who may write there decides. A host outside the
mesh is accepted, since OSM has an Egress refer to such an object by its name, and is said to come to nothing.
"""

from collections.abc import Iterator

from osm.contracts.names import DnsLabel
from osm.contracts.problem import Problem
from osm.contracts.traffic_settings import ConnectionSettings, Count, TrafficSettings, UpstreamTrafficSetting
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.naming import pattern
from osm.manifests.wording import shown
from osm.smi import locallimit, ratelimit
from osm.smi.durations import wait_problems, whole_ms
from osm.smi.shape import Object

_CLUSTER = "svc.cluster.local"
_LABEL = pattern(DnsLabel)


class Tcp(Fields, frozen=True, kw_only=True):
    """Of connections."""

    max_connections: Count | None = None
    connect_timeout: str | None = None


class Http(Fields, frozen=True, kw_only=True):
    """Of requests."""

    max_requests: Count | None = None
    max_requests_per_connection: Count | None = None
    max_pending_requests: Count | None = None
    max_retries: Count | None = None


class Connections(Fields, frozen=True, kw_only=True):
    """What a client's sidecar allows itself."""

    tcp: Tcp = Tcp()
    http: Http = Http()


class Spec(Fields, frozen=True, kw_only=True):
    """What an UpstreamTrafficSetting says."""

    host: str
    connection_settings: Connections | None = None
    rate_limit: ratelimit.RateLimit = ratelimit.RateLimit()
    http_routes: tuple[ratelimit.HttpRoute, ...] = ()


class Document(Object, frozen=True, kw_only=True):
    """An UpstreamTrafficSetting as written."""

    spec: Spec


def upstream_traffic_setting(raw: RawDocument, spec: Spec) -> tuple[UpstreamTrafficSetting, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    limits = spec.rate_limit
    local, everywhere = limits.local, limits.everywhere
    settings = TrafficSettings(
        connections=_connections(spec.connection_settings),
        local_tcp=locallimit.allowed_connections(local.tcp),
        local_http=locallimit.allowed_requests(local.http),
        global_tcp=ratelimit.asked_about_connections(everywhere.tcp),
        global_http=ratelimit.asked_about_requests(everywhere.http),
        routes=tuple(ratelimit.limited_route(each) for each in spec.http_routes),
    )
    service, _, rest = spec.host.lower().partition(".")
    ours = rest == f"{raw.namespace}.{_CLUSTER}"
    found = UpstreamTrafficSetting(
        namespace=raw.namespace, name=raw.name, service=service if ours and service else None, settings=settings
    )
    problems = (
        *_host_problems(raw, spec.host.lower()),
        *_connection_problems(raw, spec.connection_settings),
        *ratelimit.problems(raw, limits, spec.http_routes),
    )
    return found, problems


def _connections(said: Connections | None) -> ConnectionSettings | None:
    if said is None:
        return None
    return ConnectionSettings(
        max_connections=said.tcp.max_connections,
        connect_timeout_ms=whole_ms(said.tcp.connect_timeout),
        max_requests=said.http.max_requests,
        max_requests_per_connection=said.http.max_requests_per_connection,
        max_pending_requests=said.http.max_pending_requests,
        max_retries=said.http.max_retries,
    )


def _host_problems(raw: RawDocument, host: str) -> Iterator[Problem]:
    service, _, rest = host.partition(".")
    wanted = f"expected a service of namespace {raw.namespace}, such as orders.{raw.namespace}.{_CLUSTER}"
    if rest == f"{raw.namespace}.{_CLUSTER}" and _LABEL.fullmatch(service):
        return
    if host.endswith(_CLUSTER) or rest in ("", raw.namespace, f"{raw.namespace}.svc"):
        yield raw.problem("spec.host", f"{wanted}, found {shown(host)}")
    else:
        what = f"{shown(host)} is outside the mesh: settings of such a host are accepted and not enforced yet; {wanted}"
        yield raw.problem("spec.host", what, "warning")


def _connection_problems(raw: RawDocument, said: Connections | None) -> Iterator[Problem]:
    timeout = said.tcp.connect_timeout if said else None
    yield from wait_problems(raw, "spec.connectionSettings.tcp.connectTimeout", timeout)
