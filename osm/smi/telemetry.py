"""Telemetry (OSM v1alpha1): what sidecars write down of requests and connections.

A format is checked as far as that needs no Envoy: JSON that is meant to be some, and operators that end. Which
operators there are, the Envoy in use knows, and refuses the others; that is told of the object later.
"""

import re
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta, MsgspecError, json

from osm.contracts import telemetry as contracts
from osm.contracts.names import DnsLabel, DnsName
from osm.contracts.problem import Problem
from osm.contracts.telemetry import JsonFormat, LogTerms, Telemetry, TextFormat
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.wording import shown
from osm.smi.shape import Object

TELEMETRY_NAME = "osm-access-log"
"""What an installation calls the one that it makes for the whole mesh."""

FORMAT = "spec.accessLog.format"
ATTRIBUTES = "spec.accessLog.openTelemetry.attributes"

MAX_FORMAT_CHARACTERS = 8 * 1024
"""Of a format, and of attributes: a listener holds them once for everything that it leads to."""

MAX_DEPTH = 8
"""Of JSON within JSON. Protobuf ends at 100, and log stores long before that."""

_OPERATOR = re.compile(r"%%|%[A-Z0-9_]+(?:\(.*?\))?(?::[0-9]+)?%", re.DOTALL)
"""A percent sign as such, or one of Envoy's command operators, its arguments and its greatest length included."""

_CREDENTIAL = re.compile(
    r"%(?:REQ|RESP|TRAILER|REQ_WITHOUT_QUERY)\([^)%]*?"
    r"\b(?P<header>authorization|proxy-authorization|cookie|set-cookie|x-api-key)\b[^)%]*\)",
    re.IGNORECASE,
)
"""An operator that writes a header which is there to hold a secret."""


class Service(Fields, frozen=True, kw_only=True):
    """An ExtensionService."""

    namespace: DnsLabel
    name: DnsName


class OpenTelemetry(Fields, frozen=True, kw_only=True):
    """Where entries go besides."""

    extension_service: Service
    attributes: dict[str, str] = {}


class Log(Fields, frozen=True, kw_only=True):
    """How to log."""

    format: Annotated[str, Meta(min_length=1)] | None = None
    open_telemetry: OpenTelemetry | None = None


class Spec(Fields, frozen=True, kw_only=True):
    """What a Telemetry says."""

    selector: dict[str, str] = {}
    access_log: Log | None = None


class Document(Object, frozen=True, kw_only=True):
    """A Telemetry as written."""

    spec: Spec = Spec()


def telemetry(raw: RawDocument, spec: Spec) -> tuple[Telemetry, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    problems = tuple(_problems(raw, spec.access_log)) if spec.access_log else ()
    wrong = any(problem.severity == "error" for problem in problems)
    found = Telemetry(
        namespace=raw.namespace,
        name=raw.name,
        selector=tuple(sorted(spec.selector.items())),
        access_log=_terms(spec.access_log) if spec.access_log and not wrong else None,
    )
    return found, problems


def _terms(log: Log) -> LogTerms:
    return LogTerms(format=_format(log.format), open_telemetry=_collected(log.open_telemetry))


def _format(text: str | None) -> TextFormat | JsonFormat | None:
    if text is None:
        return None
    if _is_json(text):
        return JsonFormat(template=json.encode(json.decode(text), order="sorted").decode())
    return TextFormat(line=text.rstrip("\n") + "\n")


def _collected(said: OpenTelemetry | None) -> contracts.OpenTelemetry | None:
    if said is None:
        return None
    to, attributes = said.extension_service, tuple(sorted(said.attributes.items()))
    return contracts.OpenTelemetry(namespace=to.namespace, name=to.name, attributes=attributes)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _problems(raw: RawDocument, log: Log) -> Iterator[Problem]:
    if log.open_telemetry is not None:
        yield from _attribute_problems(raw, log.open_telemetry.attributes)
    if log.format is None:
        return
    if len(log.format) > MAX_FORMAT_CHARACTERS:
        what = f"expected at most {MAX_FORMAT_CHARACTERS} characters, found {len(log.format)}"
        yield raw.problem(FORMAT, what)
    elif _is_json(log.format):
        yield from _json_problems(raw, log.format)
    else:
        yield from _text_problems(raw, log.format)


def _attribute_problems(raw: RawDocument, attributes: dict[str, str]) -> Iterator[Problem]:
    length = sum(len(key) + len(text) for key, text in attributes.items())
    if length > MAX_FORMAT_CHARACTERS:
        yield raw.problem(ATTRIBUTES, f"expected at most {MAX_FORMAT_CHARACTERS} characters in all, found {length}")
        return
    for key, text in attributes.items():
        yield from _text_problems(raw, text, f"{ATTRIBUTES}.{key}")


def _json_problems(raw: RawDocument, text: str) -> Iterator[Problem]:
    try:
        found = json.decode(text)
        depth = _depth(found)
    except (MsgspecError, RecursionError) as error:
        yield raw.problem(FORMAT, f"expected JSON, as it starts with `{{`, and it is none: {error}")
        return
    if depth > MAX_DEPTH:
        yield raw.problem(FORMAT, f"expected JSON of at most {MAX_DEPTH} levels, found {depth}")
        return
    for part in _texts(found):
        yield from _text_problems(raw, part)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _texts(value: Any) -> Iterator[str]:
    """Every text that is a value: keys are written as they are."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _text_problems(raw: RawDocument, text: str, field: str = FORMAT) -> Iterator[Problem]:
    rest = _OPERATOR.sub("", text)
    if "%" in rest:
        left = rest[rest.index("%") :]
        what = f"expected operators such as %PROTOCOL%, and %% for a percent sign, found {shown(left)}"
        yield raw.problem(field, what)
    for found in _CREDENTIAL.finditer(text):
        what = f"{shown(found['header'].lower())} holds credentials, and who reads logs could use them; leave it out"
        yield raw.problem(field, what, "warning")
