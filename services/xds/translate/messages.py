"""The few shapes that every Envoy message is made of: addresses, durations, packed extensions, source "ADS".

Separate so that the builders read as configuration. Nothing here knows what the mesh is.
"""

from envoy.config.core.v3.address_pb2 import Address as EnvoyAddress
from envoy.config.core.v3.address_pb2 import SocketAddress
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ApiVersion, ConfigSource
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from osm.contracts.names import Address

NEVER = Duration()
"""Zero switches a timeout off, wherever Envoy has one."""


def packed(message: Message) -> Any:
    """An extension's configuration; deterministic, so that equal configuration has equal bytes."""
    return Any(
        type_url=f"type.googleapis.com/{message.DESCRIPTOR.full_name}",
        value=message.SerializeToString(deterministic=True),
    )


def seconds(count: float) -> Duration:
    whole = int(count)
    return Duration(seconds=whole, nanos=round((count - whole) * 1_000_000_000))


def milliseconds(count: int) -> Duration:
    return Duration(seconds=count // 1000, nanos=count % 1000 * 1_000_000)


def socket_address(address: Address) -> EnvoyAddress:
    return EnvoyAddress(socket_address=SocketAddress(address=address.host, port_value=address.port))


def from_ads() -> ConfigSource:
    """The stream on which this resource itself came."""
    return ConfigSource(ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3)


def whole_match(regex: str) -> RegexMatcher:
    """RE2; where Envoy takes one it must match the whole text, except in substitutions."""
    return RegexMatcher(regex=regex)


def exactly(text: str) -> StringMatcher:
    return StringMatcher(exact=text)


def matching(regex: str) -> StringMatcher:
    return StringMatcher(safe_regex=whole_match(regex))
