"""Access logs: a line on the sidecar's standard output for each request and each connection that is no HTTP, and, where
the user names one, an entry at a collector (OpenTelemetry over gRPC).

Added to listeners once they are made, whoever made them: a chain that ends in an HTTP connection manager or a TCP proxy
logs, and no builder can forget it. Both hold their logs in a repeated field, and protobuf joins those of messages that
stand one after the other, so nothing is taken apart for it. A connection that no chain takes is logged by the listener.
"""

from collections.abc import Callable, Mapping
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.access_loggers.stream.v3.stream_pb2 import StdoutAccessLog
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from google.protobuf.message import Message

from osm.contracts.telemetry import AccessLog, LogTerms
from services.xds.translate import log_format
from services.xds.translate.log_collector import to_collector
from services.xds.translate.messages import packed
from services.xds.translate.model import Built, Part, Planned

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


def _logged(log: AccessLog, build: Callable[..., Message], of: tuple[Any, ...]) -> Listener:
    return _with_log(build(*of), log)


def _with_log(message: Message, log: AccessLog) -> Listener:
    listener = Listener()
    listener.CopyFrom(message)
    logs = [_to_stdout(log.terms)]
    if log.collector is not None and log.terms.open_telemetry is not None:
        logs.append(to_collector(log.terms, log.terms.open_telemetry))
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
    config = StdoutAccessLog(log_format=log_format.substituted(terms))
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.stdout", typed_config=packed(config))
