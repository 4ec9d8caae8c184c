"""What services report: about themselves, about proxies, about users' objects. The forward path never reads it.

Whether a change is live is a chain of watermarks, each a revision of a bucket (see `Progress`):
an object's status says at which revision of `meshspec` it was published; the catalog's progress says which
revision of `meshspec` it has worked in and which revision of `catalog` came of it; each xds replica's progress
says up to which revision of `catalog` all its proxies have acknowledged.
"""

from typing import Literal, TypeAlias

from msgspec import Struct

from osm.contracts.names import Identity, ObjectRef
from osm.contracts.problem import Problem

ProxyState: TypeAlias = Literal["synced", "waiting", "rejected", "held"]
RolloutState: TypeAlias = Literal["canary", "stalled", "spreading", "quarantined"]


class ObjectStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One service's word on one object. `generation`: hash of the object's meaning; `revision`: of its bucket.

    An object with an `error` among `problems` is not in force as written; its last good form is, if there is one.
    `file` and `lines` (of fields, by path, from 1; the empty path is the whole) are said by the service that reads
    the object from a file, so that problems which others find with it can be shown with their place.
    """

    subject: ObjectRef
    generation: str = ""
    revision: int = 0
    problems: tuple[Problem, ...] = ()
    file: str = ""
    lines: tuple[tuple[str, int], ...] = ()


class FileStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Problems of a file as a whole: not readable, not YAML, a document without a kind."""

    file: str
    problems: tuple[Problem, ...]


class Rejection(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Envoy's no to a resource, in Envoy's words, and the users' objects the resource was made from."""

    type_url: str
    resources: tuple[str, ...]
    reason: str
    origins: tuple[ObjectRef, ...] = ()


class ProxyStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A proxy as its xds replica sees it. `behind_since_s` is set while pushes wait for acknowledgement."""

    proxy_id: str
    identity: Identity
    replica: str
    connected_at_s: float
    state: ProxyState = "synced"
    behind_since_s: float | None = None
    rejections: tuple[Rejection, ...] = ()
    why: str = ""


class RolloutStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a change has spread among a replica's proxies of one class, while it is not everywhere.

    `live` of `proxies` have all that is newest and not rejected. `canary`: the canaries are asked; `stalled`: they
    say nothing, and no more are asked; `spreading`: they have agreed, the others are on their way; `quarantined`:
    a proxy has rejected something, and the last good form of it stays. `rejections` come with any state.
    """

    identity: Identity
    state: RolloutState
    proxies: int
    live: int
    canaries: tuple[str, ...] = ()
    rejections: tuple[Rejection, ...] = ()


class Progress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a service has come: `inputs` (bucket → revision) are worked in, `output` came of them.

    For xds, `output` is the catalog revision that every connected proxy has acknowledged (or rejected),
    `proxies` how many there are, `behind` some that lag; `rollouts`: changes that are not everywhere yet.
    `at_s`: when this became true, seconds since the epoch.
    """

    service: str
    replica: str
    inputs: tuple[tuple[str, int], ...] = ()
    output: int = 0
    at_s: float
    proxies: int = 0
    behind: tuple[str, ...] = ()
    rollouts: tuple[RolloutStatus, ...] = ()


class ServiceStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A running service process. `waiting_for` says what it still needs before it serves."""

    service: str
    replica: str
    version: str
    started_at_s: float
    state: Literal["starting", "standby", "active"] = "starting"
    waiting_for: tuple[str, ...] = ()


class ProcessStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workload's process on the process platform, and its Envoy's."""

    workload: str
    state: Literal["starting", "ready", "unready", "backoff", "failed"]
    app_pid: int | None = None
    envoy_pid: int | None = None
    restarts: int = 0
    http_proxy: str = ""
    app_addresses: tuple[tuple[int, str], ...] = ()
    why: str = ""


class AdminQuery(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A read of one Envoy's admin interface. `filter`, for `stats`: a regular expression on the names (RE2)."""

    proxy_id: str
    query: Literal["clusters", "listeners", "routes", "endpoints", "certs", "config_dump", "stats"]
    filter: str = ""


class AdminReply(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Envoy's answer; keys are redacted by Envoy itself. `why` is set, and `body` empty, if there is none."""

    body: str = ""
    content_type: str = "text/plain"
    why: str = ""
