"""JSON that is nested deeper than a decoder goes."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from osm.k8s.decoding import DEEPEST, decode, shallow
from osm.k8s.objects import Object
from osm.k8s.watch_state import WatchState

JSON = st.recursive(
    st.none() | st.integers() | st.text('"\\[]{}a'),
    lambda some: st.lists(some) | st.dictionaries(st.text('"[}\\'), some),
)
DEEP = b'{"f:a":' * 5_000 + b"{}" + b"}" * 5_000
META = b'"name":"web","namespace":"shop","resourceVersion":"%d"'


def pod(version: int) -> bytes:
    return b'{"metadata":{"managedFields":[{"fieldsV1":' + DEEP + b"}]," + META % version + b'},"after":"]}"}'


@given(JSON)
def test_what_is_not_deep_stays_as_it_is(value: Any) -> None:
    text = json.dumps(value).encode()
    assert shallow(text) == text


def test_exactly_what_is_too_deep_is_left_out() -> None:
    text = b"[" * DEEPEST + b"[1,[2]],[]" + b"]" * DEEPEST
    assert shallow(text) == b"[" * DEEPEST + b"null,null" + b"]" * DEEPEST


def test_an_object_is_read_past_the_depth_in_it() -> None:
    found = decode(pod(1), dict[str, Any])
    assert (found["metadata"]["name"], found["after"]) == ("web", "]}")
    assert decode(pod(1), Object).metadata.key == ("shop", "web")


@pytest.mark.parametrize("text", [b"[" * 5_000, b'{"a":"\xff"}', b"{", DEEP[:-1]])
def test_what_is_no_json_is_one_kind_of_error(text: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(text, dict[str, Any])


def test_a_follower_hears_of_a_deep_object_as_of_any_other() -> None:
    known = WatchState(Object)
    items = decode(b"[" + pod(1) + b"]", tuple[msgspec.Raw, ...])
    told = known.listed(items, "1")
    assert told.seen is not None
    assert set(told.seen.objects) == {("shop", "web")}
    told = known.happened([b'{"type":"MODIFIED","object":' + pod(2) + b"}"])
    assert told.seen is not None
    assert (set(told.seen.objects), told.relist, known.version) == ({("shop", "web")}, "", "2")
