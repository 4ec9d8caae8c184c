"""Nothing we emit is deprecated, in any golden case: fields, enum values, packed messages included."""

from collections.abc import Iterator

import pytest
from envoy.annotations import deprecation_pb2
from envoy.config.core.v3.config_source_pb2 import ApiVersion, ConfigSource
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, RouteAction
from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from services.xds.translate.messages import packed
from tests.golden.translate import bootstrap, cases


def deprecated(message: Message) -> Iterator[str]:
    """Full names of deprecated fields that are set and enum values that are used, at any depth."""
    if isinstance(message, Any):
        yield from deprecated(bootstrap.unpacked(message))
        return
    for field, value in message.ListFields():
        if _is_deprecated_field(field):
            yield field.full_name
        if field.enum_type is not None:
            numbers = value if field.is_repeated else [value]
            yield from (name for number in numbers for name in _deprecated_value(field.enum_type, number))
    for child in bootstrap.children(message):
        yield from deprecated(child)


def _is_deprecated_field(field: FieldDescriptor) -> bool:
    options = field.GetOptions()
    marks = (deprecation_pb2.deprecated_at_minor_version, deprecation_pb2.disallowed_by_default)
    return bool(options.deprecated) or any(options.HasExtension(mark) for mark in marks)


def _deprecated_value(kind: EnumDescriptor, number: int) -> Iterator[str]:
    value = kind.values_by_number[number]
    options = value.GetOptions()
    marks = (deprecation_pb2.deprecated_at_minor_version_enum, deprecation_pb2.disallowed_by_default_enum)
    if options.deprecated or any(options.HasExtension(mark) for mark in marks):
        yield f"{kind.full_name}.{value.name}"


@pytest.mark.parametrize("name", cases.names())
def test_no_case_emits_anything_deprecated(name: str) -> None:
    case = cases.read(name)
    translation = case.translate()
    built = (*translation.clusters, *translation.listeners, *translation.routes, *case.assignments(translation))
    found = {(one.name, what) for one in built for what in deprecated(one.message)}
    assert not found


def test_the_walk_finds_a_deprecated_field_inside_a_packed_message() -> None:
    action = RouteAction()
    action.include_vh_rate_limits.value = True
    assert list(deprecated(packed(action))) == ["envoy.config.route.v3.RouteAction.include_vh_rate_limits"]
    assert list(deprecated(HeaderMatcher(name="a", exact_match="b"))) == [
        "envoy.config.route.v3.HeaderMatcher.exact_match"
    ]


def test_the_walk_finds_a_deprecated_enum_value() -> None:
    source = ConfigSource(resource_api_version=ApiVersion.V2)
    assert list(deprecated(source)) == ["envoy.config.core.v3.ApiVersion.V2"]
