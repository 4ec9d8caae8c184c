"""Access logs: a line on the sidecar's standard output for each request and each connection that is no HTTP.

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
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.listener.v3.listener_pb2 import Listener
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

from osm.contracts.telemetry import AccessLog, JsonFormat, LogTerms, TextFormat
from services.xds.translate.messages import packed
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
    origins = tuple(sorted({*part.origins, *((log.origin,) if log.terms.format else ())}))
    if isinstance(part, Planned):
        return Planned(name=part.name, build=_logged, of=(log.terms, part.build, part.of), origins=origins)
    return Built(name=part.name, message=_with_log(part.message, log.terms), origins=origins)


def _logged(terms: LogTerms, build: Callable[..., Message], of: tuple[Any, ...]) -> Listener:
    return _with_log(build(*of), terms)


def _with_log(message: Message, terms: LogTerms) -> Listener:
    listener = Listener()
    listener.CopyFrom(message)
    log = _to_stdout(terms)
    listener.access_log.append(_of_the_lost(log))
    appendix = _appendix(log)
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


def _appendix(log: accesslog_pb2.AccessLog) -> _Appendix:
    ends = (packed(HttpConnectionManager(access_log=[log])), packed(TcpProxy(access_log=[log])))
    return {end.type_url: end.value for end in ends}


def _to_stdout(terms: LogTerms) -> accesslog_pb2.AccessLog:
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.stdout", typed_config=packed(StdoutAccessLog(log_format=_format(terms)))
    )


def _format(terms: LogTerms) -> SubstitutionFormatString:
    match terms.format:
        case TextFormat(line=text):
            said = SubstitutionFormatString(text_format_source=DataSource(inline_string=text))
        case JsonFormat(template=text):
            said = SubstitutionFormatString(json_format=json_format.Parse(text, Struct()))
        case None:
            text = json.encode(DEFAULT).decode()
            said = SubstitutionFormatString(json_format=json_format.Parse(text, Struct()))
    if "%REQ_WITHOUT_QUERY(" in text:
        said.formatters.append(_WITHOUT_QUERY)
    return said
