"""Entries of access logs at a collector of the user's: OpenTelemetry over gRPC, to an ExtensionService.

Apart from the lines on standard output, which need nobody to take them.
"""

from collections.abc import Mapping
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.extensions.access_loggers.open_telemetry.v3.logs_service_pb2 import OpenTelemetryAccessLogConfig
from msgspec import json

from osm.contracts.names import Address, ObjectRef
from osm.contracts.telemetry import AccessLog, JsonFormat, LogTerms, OpenTelemetry, TextFormat
from services.xds.translate import log_format
from services.xds.translate.cluster import grpc_cluster
from services.xds.translate.messages import milliseconds, packed
from services.xds.translate.model import Built

COLLECTOR = "access-log-collector"
"""The cluster of an ExtensionService that a Telemetry names."""

_GRPC_SERVICE, _LOG_NAME = 9, 10
"""Fields of Envoy's OpenTelemetryAccessLogConfig that our Python messages of it have not yet. The field that they have
for it, `common_config`, is deprecated, and each Envoy says so for each listener."""

_ONE_BYTE_LENGTHS = 128


def collector_clusters(log: AccessLog | None) -> tuple[Built, ...]:
    """The way to the collector, if there is one."""
    if log is None or log.collector is None:
        return ()
    to = log.collector
    cluster = grpc_cluster(COLLECTOR, Address(to.host, to.port))
    if to.connect_timeout_ms is not None:
        cluster.connect_timeout.CopyFrom(milliseconds(to.connect_timeout_ms))
    origin = ObjectRef("ExtensionService", to.namespace, to.name)
    return (Built(name=COLLECTOR, message=cluster, origins=(origin,)),)


def to_collector(terms: LogTerms, asked: OpenTelemetry) -> accesslog_pb2.AccessLog:
    """The body is the line, or a JSON's values by their keys."""
    match terms.format:
        case TextFormat(line=line):
            body = _any_value(line.removesuffix("\n"))
        case JsonFormat(template=template):
            body = _any_value(json.decode(template))
        case None:
            body = _any_value(log_format.DEFAULT)
    config = OpenTelemetryAccessLogConfig(
        body=body,
        attributes=_any_value(dict(asked.attributes))["kvlist_value"],
        formatters=log_format.formatters(terms),
    )
    log = accesslog_pb2.AccessLog(name="envoy.access_loggers.open_telemetry", typed_config=packed(config))
    to = GrpcService(envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=COLLECTOR))
    log.typed_config.value += _field(_GRPC_SERVICE, to.SerializeToString(deterministic=True))
    log.typed_config.value += _field(_LOG_NAME, b"osm")
    return log


def _field(number: int, body: bytes) -> bytes:
    """A field of a message, in bytes, as long as its length is one byte (protobuf encoding, length-delimited)."""
    assert len(body) < _ONE_BYTE_LENGTHS
    return bytes([number << 3 | 2, len(body)]) + body


def _any_value(value: Any) -> dict[str, Any]:
    """OpenTelemetry's AnyValue; of its kinds, Envoy fills in texts, lists and maps."""
    if isinstance(value, Mapping):
        return {"kvlist_value": {"values": [{"key": key, "value": _any_value(each)} for key, each in value.items()]}}
    if isinstance(value, list):
        return {"array_value": {"values": [_any_value(each) for each in value]}}
    return {"string_value": value if isinstance(value, str) else json.encode(value).decode()}
