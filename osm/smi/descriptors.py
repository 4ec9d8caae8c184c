"""What a rate limit service is told of a connection or request: descriptors, as an UpstreamTrafficSetting writes them.

Apart from `ratelimit`, because they are a small language of their own: an entry is one of four kinds, and says which
by its only field.
"""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

from osm.contracts.problem import Problem
from osm.contracts.traffic_settings import (
    Descriptor,
    GenericKey,
    HeaderCondition,
    HeaderValueMatch,
    RemoteAddress,
    RequestHeader,
)
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.wording import shown
from osm.smi.regex import complaint
from osm.smi.specs import HEADER_NAME

MAX = 64
"""Descriptors, and entries of one: the CRD's own bound. Each is a part of every question to the service."""

KINDS = ("genericKey", "remoteAddress", "requestHeader", "headerValueMatch")
TESTS = ("exact", "prefix", "suffix", "regex", "contains")
PSEUDO_HEADERS = frozenset({":authority", ":method", ":path", ":scheme"})

Text = Annotated[str, Meta(min_length=1)]


class TcpEntry(Fields, frozen=True, kw_only=True):
    """Of a connection nothing is known, so both are the user's words."""

    key: Text
    value: Text


class TcpDescriptor(Fields, frozen=True, kw_only=True):
    """Of connections."""

    entries: Annotated[tuple[TcpEntry, ...], Meta(min_length=1, max_length=MAX)]


class Generic(Fields, frozen=True, kw_only=True):
    """The user's words."""

    value: Text
    key: Text = "generic_key"


class Remote(Fields, frozen=True, kw_only=True):
    """The caller's address."""


class FromHeader(Fields, frozen=True, kw_only=True):
    """A header's value."""

    name: str
    key: Text


class Header(Fields, frozen=True, kw_only=True):
    """Exactly one test of it."""

    name: str
    exact: str | None = None
    prefix: str | None = None
    suffix: str | None = None
    regex: str | None = None
    contains: str | None = None
    present: bool | None = None


class Matching(Fields, frozen=True, kw_only=True):
    """The user's words, if headers are as said."""

    value: Text
    key: Text = "header_match"
    expect_match: bool = True
    headers: Annotated[tuple[Header, ...], Meta(min_length=1, max_length=MAX)]


class Entry(Fields, frozen=True, kw_only=True):
    """Exactly one of these."""

    generic_key: Generic | None = None
    remote_address: Remote | None = None
    request_header: FromHeader | None = None
    header_value_match: Matching | None = None


class HttpDescriptor(Fields, frozen=True, kw_only=True):
    """Of requests."""

    entries: Annotated[tuple[Entry, ...], Meta(min_length=1, max_length=MAX)]


Several = Annotated[tuple[HttpDescriptor, ...], Meta(max_length=MAX)]


def pairs(said: TcpDescriptor) -> tuple[tuple[str, str], ...]:
    return tuple((each.key, each.value) for each in said.entries)


def descriptor(said: HttpDescriptor) -> Descriptor:
    """To be used only if `problems` has none."""
    return tuple(_entry(each) for each in said.entries)


def problems(raw: RawDocument, place: str, said: Several) -> Iterator[Problem]:
    """Of `place`, a list of descriptors."""
    for at, each in enumerate(said):
        for number, entry in enumerate(each.entries):
            yield from _entry_problems(raw, f"{place}[{at}].entries[{number}]", entry)


def _entry(said: Entry) -> GenericKey | RemoteAddress | RequestHeader | HeaderValueMatch:
    if said.request_header is not None:
        return RequestHeader(name=said.request_header.name.lower(), key=said.request_header.key)
    if (match := said.header_value_match) is not None:
        headers = tuple(map(_condition, match.headers))
        return HeaderValueMatch(value=match.value, key=match.key, headers=headers, expected=match.expect_match)
    if said.generic_key is not None:
        return GenericKey(value=said.generic_key.value, key=said.generic_key.key)
    return RemoteAddress()


def _condition(said: Header) -> HeaderCondition:
    name = said.name.lower()
    match said:
        case Header(exact=str(value)):
            return HeaderCondition(name=name, how="exact", value=value)
        case Header(prefix=str(value)):
            return HeaderCondition(name=name, how="prefix", value=value)
        case Header(suffix=str(value)):
            return HeaderCondition(name=name, how="suffix", value=value)
        case Header(regex=str(value)):
            return HeaderCondition(name=name, how="regex", value=value)
        case Header(contains=str(value)):
            return HeaderCondition(name=name, how="contains", value=value)
    return HeaderCondition(name=name, how="absent" if said.present is False else "present")


def _entry_problems(raw: RawDocument, place: str, entry: Entry) -> Iterator[Problem]:
    found = (entry.generic_key, entry.remote_address, entry.request_header, entry.header_value_match)
    named = [name for name, each in zip(KINDS, found, strict=True) if each is not None]
    if len(named) != 1:
        what = f"expected exactly one of {', '.join(KINDS)}, found {' and '.join(named) or 'none'}"
        yield raw.problem(place, what)
    if entry.request_header is not None:
        yield from _name_problems(raw, f"{place}.requestHeader.name", entry.request_header.name)
    if entry.header_value_match is not None:
        for at, header in enumerate(entry.header_value_match.headers):
            yield from _header_problems(raw, f"{place}.headerValueMatch.headers[{at}]", header)


def _header_problems(raw: RawDocument, place: str, header: Header) -> Iterator[Problem]:
    yield from _name_problems(raw, f"{place}.name", header.name)
    tests = {name: getattr(header, name) for name in TESTS}
    named = [name for name, value in tests.items() if value is not None]
    named += ["present"] if header.present is not None else []
    if len(named) != 1:
        what = f"expected exactly one of {', '.join(TESTS)}, present, found {' and '.join(named) or 'none'}"
        yield raw.problem(place, what)
    for name in ("prefix", "suffix", "contains"):
        if tests[name] == "":
            yield raw.problem(f"{place}.{name}", "expected some text, found an empty one; `present: true` takes any")
    why = complaint(header.regex or "")
    if why:
        yield raw.problem(f"{place}.regex", f"{shown(header.regex)} is no regular expression for Envoy: {why}")


def _name_problems(raw: RawDocument, place: str, name: str) -> Iterator[Problem]:
    if not HEADER_NAME.fullmatch(name) and name.lower() not in PSEUDO_HEADERS:
        what = f"expected the name of a header, or one of {', '.join(sorted(PSEUDO_HEADERS))}, found {shown(name)}"
        yield raw.problem(place, what)
