"""What a line of an access log says: the user's text or JSON, else Open Service Mesh's keys.

Apart from where lines go. Headers that are there to hold secrets (Authorization, Cookie) are not among what is written
by default, and neither is a path's query, which OSM wrote out: links with a token in them are all too common.
"""

from collections.abc import Mapping

from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.extensions.formatter.req_without_query.v3.req_without_query_pb2 import ReqWithoutQuery
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct
from msgspec import json

from osm.contracts.telemetry import JsonFormat, LogTerms, TextFormat
from services.xds.translate.messages import packed

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


def substituted(terms: LogTerms) -> SubstitutionFormatString:
    """A line, as Envoy fills it in."""
    match terms.format:
        case TextFormat(line=line):
            said = SubstitutionFormatString(text_format_source=DataSource(inline_string=line))
        case JsonFormat(template=template):
            said = SubstitutionFormatString(json_format=json_format.Parse(template, Struct()))
        case None:
            said = SubstitutionFormatString(json_format=json_format.ParseDict(dict(DEFAULT), Struct()))
    said.formatters.extend(formatters(terms))
    return said


def formatters(terms: LogTerms) -> list[TypedExtensionConfig]:
    """Operators that what is asked for needs, of those that Envoy does not know unasked."""
    said = json.encode(terms).decode() if terms.format else json.encode(DEFAULT).decode()
    attributes = json.encode(terms.open_telemetry).decode()
    return [_WITHOUT_QUERY] if "%REQ_WITHOUT_QUERY(" in said + attributes else []
