"""Access logs: a line on the sidecar's standard output for each request and each connection that is no HTTP, and, where
the user names one, an entry at a collector (OpenTelemetry over gRPC).

Added to listeners once they are made, whoever made them: a chain that ends in an HTTP connection manager or a TCP proxy
logs, and no builder can forget it. Both hold their logs in a repeated field, and protobuf joins those of messages that
stand one after the other, so nothing is taken apart for it. A connection that no chain takes is logged by the listener.

Headers that are there to hold secrets (Authorization, Cookie) are not among what is logged by default, and neither is
a path's query, which OSM's default wrote out: links with a token in them are all too common.
"""

from collections.abc import Callable, Mapping
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.access_loggers.open_telemetry.v3.logs_service_pb2 import OpenTelemetryAccessLogConfig
from envoy.extensions.access_loggers.stream.v3.stream_pb2 import StdoutAccessLog
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.formatter.req_without_query.v3.req_without_query_pb2 import ReqWithoutQuery
from google.protobuf import json_format
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from msgspec import json

from osm.contracts.names import Address, ObjectRef
from osm.contracts.telemetry import AccessLog, JsonFormat, LogTerms, OpenTelemetry, TextFormat
from services.xds.translate.cluster import grpc_cluster
from services.xds.translate.messages import milliseconds, packed
from services.xds.translate.model import Built, Part, Planned

DEFAULT: Mapping[str, str] = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "start_time": "%START_TIME%",
    "time_to_first_byte": "%RESPONSE_DURATION%",
    "upstream_cluster": "%UPSTREAM_CLUSTER%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
}
"""The keys of Open Service Mesh, for what reads its logs."""

COLLECTOR = "access-log-collector"
"""The cluster of an ExtensionService that a Telemetry names."""

_GRPC_SERVICE, _LOG_NAME = 9, 10
"""Fields of Envoy's OpenTelemetryAccessLogConfig that our Python messages of it have not yet. The field that they have
for it, `common_config`, is deprecated, and each Envoy says so for each listener."""

ONE_BYTE_LENGTHS = 128

_WITHOUT_QUERY = TypedExtensionConfig(name="envoy.formatter.req_without_query", typed_config=packed(ReqWithoutQuery()))
"""The operator of this name is in every Envoy, but has to be asked for."""

_NO_CHAIN = "NR"
"""Envoy's response flag of a connection that no filter chain matches, and of a request without a route."""

_Appendix = Mapping[str, bytes]
"""What is joined to a filter's configuration, by the type of it."""


def logged(part: Part, log: AccessLog | None) -> Part:
    """The listener, with an access log in each of its chains."""
    if log is None:
        return part
    # Without a format of the user's there is nothing in it that Envoy could hold against the Telemetry.
    is_the_users = log.terms.format or log.terms.open_telemetry
    origins = tuple(sorted({*part.origins, *((log.origin,) if is_the_users else ())}))
    if isinstance(part, Planned):
        return Planned(name=part.name, build=_logged, of=(log, part.build, part.of), origins=origins)
    return Built(name=part.name, message=_with_log(part.message, log), origins=origins)


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


def _logged(log: AccessLog, build: Callable[..., Message], of: tuple[Any, ...]) -> Listener:
    return _with_log(build(*of), log)


def _with_log(message: Message, log: AccessLog) -> Listener:
    listener = Listener()
    listener.CopyFrom(message)
    logs = [_to_stdout(log.terms)]
    if log.collector is not None and log.terms.open_telemetry is not None:
        logs.append(_to_collector(log.terms, log.terms.open_telemetry))
    listener.access_log.extend(map(_of_the_lost, logs))
    appendix = _appendix(logs)
    for chain in (*listener.filter_chains, listener.default_filter_chain):
        for each in chain.filters:
            _append(each, appendix)
    return listener


def _append(to: Filter, appendix: _Appendix) -> None:
    to.typed_config.value += appendix.get(to.typed_config.type_url, b"")


def _of_the_lost(log: accesslog_pb2.AccessLog) -> accesslog_pb2.AccessLog:
    """Of connections that no chain takes, such as one without the mesh's TLS: all others log in theirs."""
    lost = accesslog_pb2.AccessLog(filter={"response_flag_filter": {"flags": [_NO_CHAIN]}})
    lost.MergeFrom(log)
    return lost


def _appendix(logs: list[accesslog_pb2.AccessLog]) -> _Appendix:
    ends = (packed(HttpConnectionManager(access_log=logs)), packed(TcpProxy(access_log=logs)))
    return {end.type_url: end.value for end in ends}


def _to_stdout(terms: LogTerms) -> accesslog_pb2.AccessLog:
    match terms.format:
        case TextFormat(line=line):
            said = SubstitutionFormatString(text_format_source=DataSource(inline_string=line))
        case JsonFormat(template=template):
            said = SubstitutionFormatString(json_format=json_format.Parse(template, Struct()))
        case None:
            said = SubstitutionFormatString(json_format=json_format.ParseDict(dict(DEFAULT), Struct()))
    said.formatters.extend(_formatters(terms))
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.stdout", typed_config=packed(StdoutAccessLog(log_format=said))
    )


def _to_collector(terms: LogTerms, asked: OpenTelemetry) -> accesslog_pb2.AccessLog:
    """The body is the line, or a JSON's values by their keys."""
    match terms.format:
        case TextFormat(line=line):
            body = _any_value(line.removesuffix("\n"))
        case JsonFormat(template=template):
            body = _any_value(json.decode(template))
        case None:
            body = _any_value(DEFAULT)
    config = OpenTelemetryAccessLogConfig(
        body=body, attributes=_any_value(dict(asked.attributes))["kvlist_value"], formatters=_formatters(terms)
    )
    log = accesslog_pb2.AccessLog(name="envoy.access_loggers.open_telemetry", typed_config=packed(config))
    to = GrpcService(envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=COLLECTOR))
    log.typed_config.value += _field(_GRPC_SERVICE, to.SerializeToString(deterministic=True)) + _field(
        _LOG_NAME, b"osm"
    )
    return log


def _field(number: int, body: bytes) -> bytes:
    """A field of a message, in bytes, as long as its length is one byte (protobuf encoding, length-delimited)."""
    assert len(body) < ONE_BYTE_LENGTHS
    return bytes([number << 3 | 2, len(body)]) + body


def _any_value(value: Any) -> dict[str, Any]:
    """OpenTelemetry's AnyValue; of its kinds, Envoy fills in texts, lists and maps."""
    if isinstance(value, Mapping):
        return {"kvlist_value": {"values": [{"key": key, "value": _any_value(each)} for key, each in value.items()]}}
    if isinstance(value, list):
        return {"array_value": {"values": [_any_value(each) for each in value]}}
    return {"string_value": value if isinstance(value, str) else json.encode(value).decode()}


def _formatters(terms: LogTerms) -> list[TypedExtensionConfig]:
    said = json.encode(terms).decode() if terms.format else json.encode(DEFAULT).decode()
    attributes = json.encode(terms.open_telemetry).decode()
    return [_WITHOUT_QUERY] if "%REQ_WITHOUT_QUERY(" in said + attributes else []
