"""Telemetry: what it means, what is a mistake in a format, and what is said to have no effect yet."""

import pytest

from osm.contracts.telemetry import JsonFormat, LogTerms, OpenTelemetry, Telemetry, TextFormat
from osm.smi.telemetry import MAX_FORMAT_CHARACTERS
from tests.unit.smi.policy_text import parsed, sentences

API = "policy.openservicemesh.io/v1alpha1"


def formatted(text: str) -> list[str]:
    """The sentences about a format."""
    quoted = text.replace("'", "''")
    return [
        each.partition(" ")[2] for each in sentences(parsed("Telemetry", f"accessLog: {{format: '{quoted}'}}", api=API))
    ]


def meant(spec: str) -> Telemetry:
    found = parsed("Telemetry", spec, api=API)
    assert found.problems == ()
    assert isinstance(found.object, Telemetry)
    return found.object


def test_a_selector_is_pairs_in_order() -> None:
    found = meant("selector: {b: x, a: y}\naccessLog: {}")
    assert found == Telemetry(namespace="shop", name="it", selector=(("a", "y"), ("b", "x")), access_log=LogTerms())


def test_without_an_access_log_none_is_meant() -> None:
    assert meant("selector: {a: y}").access_log is None
    assert meant("{}") == Telemetry(namespace="shop", name="it")


@pytest.mark.parametrize("written", ["%PROTOCOL% %REQ(:METHOD)%", '"%PROTOCOL% %REQ(:METHOD)%\\n"'])
def test_a_text_is_a_line_whether_it_ends_in_a_break_or_not(written: str) -> None:
    spec = f"accessLog: {{format: {written}}}" if written[0] == '"' else f"accessLog: {{format: '{written}'}}"
    assert meant(spec).access_log == LogTerms(format=TextFormat(line="%PROTOCOL% %REQ(:METHOD)%\n"))


def test_json_is_the_same_in_whatever_order_it_is_written() -> None:
    one = meant("""accessLog: {format: '{"b": {"d": 1, "c": "%PROTOCOL%"}, "a": [true, null]}'}""")
    other = meant("""accessLog: {format: ' { "a":[true,null],"b":{"c":"%PROTOCOL%","d":1} }'}""")
    assert one == other
    template = '{"a":[true,null],"b":{"c":"%PROTOCOL%","d":1}}'
    assert one.access_log == LogTerms(format=JsonFormat(template=template))


@pytest.mark.parametrize(
    "text",
    [
        "%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)% 100%%",
        "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):20%",
        "%DYNAMIC_METADATA(com.test:key)% %REQ_WITHOUT_QUERY(:PATH)%",
        '{"percent": "%%", "50%": "keys are not looked at"}',
        "%NO_SUCH_OPERATOR%",
    ],
)
def test_what_envoy_may_know_is_for_envoy_to_judge(text: str) -> None:
    assert formatted(text) == []


@pytest.mark.parametrize("text", ["50% of %PROTOCOL%", "%PROTOCOL", "%REQ(:PATH%", '{"a": {"b": ["%protocol%"]}}'])
def test_an_operator_that_is_none_is_a_mistake(text: str) -> None:
    (sentence,) = formatted(text)
    assert sentence.startswith("error spec.accessLog.format: expected operators such as %PROTOCOL%, and %% for a perc")
    assert 'found "%' in sentence


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": 1', "Input data was truncated"),
        ('{"a" 1}', "JSON is malformed: expected ':' (byte 5)"),
        ("{%PROTOCOL%}", "JSON is malformed: object keys must be strings (byte 1)"),
        ('{"a":' * 1500, "maximum recursion depth exceeded while deserializing an object"),
    ],
)
def test_what_starts_as_json_has_to_be_json(text: str, why: str) -> None:
    said = f"error spec.accessLog.format: expected JSON, as it starts with `{{`, and it is none: {why}"
    assert formatted(text) == [said]


@pytest.mark.parametrize("depth", [500, 900, 950, 980])
def test_json_of_any_depth_is_a_mistake_and_no_fault(depth: int) -> None:
    (sentence,) = formatted('{"a":' * depth + "1" + "}" * depth)
    assert sentence.startswith("error spec.accessLog.format: expected JSON")


def test_json_has_a_bound_in_depth_and_any_format_one_in_length() -> None:
    assert formatted('{"a":' * 8 + "1" + "}" * 8) == []
    assert formatted('{"a":' * 9 + "1" + "}" * 9) == [
        "error spec.accessLog.format: expected JSON of at most 8 levels, found 9"
    ]
    assert formatted("a" * (MAX_FORMAT_CHARACTERS + 1)) == [
        "error spec.accessLog.format: expected at most 8192 characters, found 8193"
    ]


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("%REQ(AUTHORIZATION)%", "authorization"),
        ("%REQ(X-USER?Cookie):10%", "cookie"),
        ('{"a": "%RESP(set-cookie)%"}', "set-cookie"),
    ],
)
def test_a_header_that_holds_a_secret_is_warned_of(text: str, header: str) -> None:
    what = f'"{header}" holds credentials, and who reads logs could use them; leave it out'
    assert formatted(text) == [f"warning spec.accessLog.format: {what}"]


def test_opentelemetry_names_an_extension_service_and_its_attributes_are_in_order() -> None:
    spec = (
        "accessLog: {openTelemetry: {extensionService: {namespace: b, name: c}, attributes: {z: '%PROTOCOL%', a: e}}}"
    )
    attributes = (("a", "e"), ("z", "%PROTOCOL%"))
    assert meant(spec).access_log == LogTerms(
        open_telemetry=OpenTelemetry(namespace="b", name="c", attributes=attributes)
    )


def test_attributes_have_a_bound_as_a_format_has() -> None:
    text = "a" * MAX_FORMAT_CHARACTERS
    spec = f"accessLog: {{openTelemetry: {{extensionService: {{namespace: b, name: c}}, attributes: {{d: {text}}}}}}}"
    (problem,) = parsed("Telemetry", spec, api=API).problems
    assert problem.field == "spec.accessLog.openTelemetry.attributes"
    assert problem.what == "expected at most 8192 characters in all, found 8193"


def test_an_attribute_is_judged_as_a_format_is() -> None:
    spec = "accessLog: {openTelemetry: {extensionService: {namespace: b, name: c}, attributes: {a: 50%}}}"
    found = parsed("Telemetry", spec, api=API)
    assert [(each.severity, each.field) for each in found.problems] == [
        ("error", "spec.accessLog.openTelemetry.attributes.a")
    ]


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ("accessLog: {format: ''}", "spec.accessLog.format"),
        ("selector: {a: 1}", "spec.selector.a"),
        ("accesslog: {}", "spec.accesslog"),
        ("accessLog: {openTelemetry: {}}", "spec.accessLog.openTelemetry.extensionService"),
    ],
)
def test_what_has_the_wrong_shape_names_its_field(spec: str, field: str) -> None:
    found = parsed("Telemetry", spec, api=API)
    assert found.object is None
    assert [each.field for each in found.problems] == [field]
