"""What sidecars write down of requests and connections: Telemetry as users ask for it, and as proxies are told.

`meshspec` writes `Telemetry`; `catalog` decides which of them a workload logs by, names it in the workload's document
(or, for all others, in the mesh's) and writes what it says once, as `AccessLog`: a format that changes is one document
and one change of configuration, not one for each workload.
"""

from msgspec import Struct

from osm.contracts.names import DnsLabel, DnsName, ObjectRef, Port


class TextFormat(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="text"):
    """A line with Envoy's command operators, its line break included."""

    line: str


class JsonFormat(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="json"):
    """A JSON object whose texts may hold Envoy's command operators; `template` is that object, keys sorted."""

    template: str


class OpenTelemetry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Entries go to this ExtensionService too; values of `attributes` (sorted) may hold command operators."""

    namespace: DnsLabel
    name: DnsName
    attributes: tuple[tuple[str, str], ...] = ()


class LogTerms(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How to log. Without a format of the user's: Open Service Mesh's own, JSON with 19 keys."""

    format: TextFormat | JsonFormat | None = None
    open_telemetry: OpenTelemetry | None = None


class Telemetry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """OSM Telemetry: what the pods of its namespace whose labels hold all of `selector` (sorted pairs) write down.

    Without a selector it is meant for all of the namespace; in the control plane's, for all of the mesh.
    `access_log` None: no access log, which is how some are left out of a wider Telemetry.
    """

    namespace: DnsLabel
    name: DnsName
    selector: tuple[tuple[str, str], ...] = ()
    access_log: LogTerms | None = None


class ExtensionService(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """OSM ExtensionService: a gRPC server outside of the mesh that sidecars themselves speak to, in the clear."""

    namespace: DnsLabel
    name: DnsName
    host: str
    port: Port
    connect_timeout_ms: int | None = None
    """None is what sidecars wait for any other."""


class AccessLog(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the workloads log whose documents name `origin`, and the collector that the terms ask for, if it exists."""

    origin: ObjectRef
    terms: LogTerms
    collector: ExtensionService | None = None
