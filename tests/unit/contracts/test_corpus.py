"""Whatever was released once is read for good; what comes from tomorrow is read as far as it can be, and named."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from osm.bus import documents
from osm.bus.memory import MemoryCore
from osm.cli.bus_state import bucket_states
from osm.contracts.channels import MESH_WORKLOAD, RPCS
from osm.contracts.codec import decode
from osm.testing.picture import Picture
from tests.corpus import samples

FILES = samples.files()


def read(file: Path, body: bytes | None = None) -> tuple[Struct | None, str]:
    """The file's value as a reader gets it, and why there is none."""
    body = file.read_bytes() if body is None else body
    bucket, name = file.parent.name, file.name.removesuffix(".json").rpartition(".")[0]
    if bucket != "rpc":
        document = documents.read(bucket=bucket, key=name, body=body, revision=1, writer="", trace="")
        return document.value, document.why
    owner, verb, part = name.split(".")
    (rpc,) = (rpc for rpc in RPCS if (rpc.owner, rpc.verb) == (owner, verb))
    return decode(rpc.request if part == "request" else rpc.reply, body), ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(samples.ROOT)))
def test_every_released_document_is_read_by_today_s_types(file: Path) -> None:
    value, why = read(file)
    assert (value is not None, why) == (True, "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(samples.ROOT)))
def test_what_a_newer_writer_adds_is_ignored(file: Path) -> None:
    body = msgspec.json.encode(_with_additions(msgspec.json.decode(file.read_bytes())))
    assert read(file, body) == read(file)


def test_the_corpus_never_shrinks_and_never_changes() -> None:
    assert samples.INDEX.read_text() == samples.index()


def test_every_shape_that_today_s_types_can_write_is_in_the_corpus() -> None:
    assert sorted(samples.missing()) == [], "run `make docs`, which adds them"


def test_a_union_s_variant_of_tomorrow_is_named_and_costs_no_other_document() -> None:
    """`why` says which; a bus that holds one counts it, and everything else is read."""
    found = {file.name: [read(file, body) for body in _tomorrows(file)] for file in FILES if file.parent.name != "rpc"}
    broken = {name: outcomes for name, outcomes in found.items() if outcomes}
    assert broken, "no document has a union any more: this test proves nothing"
    for name, outcomes in broken.items():
        assert all(value is None and "tomorrow" in why for value, why in outcomes), name


async def test_a_document_of_tomorrow_is_counted_by_who_looks_at_the_bus() -> None:
    core = MemoryCore()
    file = next(file for file in FILES if file.parent.name == "catalog" and any(_tomorrows(file)))
    async with core.bus("catalog").writer("catalog") as writer:
        await writer.publish({})
    core.put("catalog", MESH_WORKLOAD.key("id"), next(_tomorrows(file)))
    update = await Picture(core.bus("cli").watch("catalog")).next()
    (state,) = (state for state in bucket_states({"catalog": update}, []) if state.synced)
    assert (state.documents, state.undecodable) == (1, 1)


def _with_additions(value: object) -> object:
    """The same with a field more in every object that is not a mapping of free keys."""
    if isinstance(value, dict):
        return {name: _with_additions(inner) for name, inner in value.items()} | {"from_tomorrow": {"deep": [1]}}
    return [_with_additions(inner) for inner in value] if isinstance(value, list) else value


def _tomorrows(file: Path) -> Iterator[bytes]:
    """The document once for each tagged union in it, with a variant that nobody knows yet."""
    tags = file.read_bytes().count(b'"type":"')
    for number in range(tags):
        yield _retagged(file.read_bytes(), number)


def _retagged(body: bytes, number: int) -> bytes:
    parts = body.split(b'"type":"')
    head, _, tail = parts[number + 1].partition(b'"')
    assert head != b"tomorrow"
    parts[number + 1] = b'tomorrow"' + tail
    return b'"type":"'.join(parts)
