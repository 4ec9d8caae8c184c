"""Equal documents give equal bytes, in whatever order they came; endpoints touch load assignments alone."""

import random
from typing import Any

import msgspec
import pytest

from services.xds.translate import Built, Translation
from tests.golden.translate import cases
from tests.golden.translate.cases import Case

Bytes = tuple[tuple[str, bytes, tuple[str, ...]], ...]


def resources(translation: Translation) -> tuple[Bytes, Bytes, Bytes]:
    return _bytes(translation.clusters), _bytes(translation.listeners), _bytes(translation.routes)


def _bytes(built: tuple[Built, ...]) -> Bytes:
    return tuple(
        (one.name, one.message.SerializeToString(deterministic=True), tuple(map(str, one.origins))) for one in built
    )


def _shuffled(value: Any, rng: random.Random) -> Any:
    if isinstance(value, dict):
        return {key: _shuffled(inner, rng) for key, inner in value.items()}
    if isinstance(value, list):
        return rng.sample([_shuffled(inner, rng) for inner in value], len(value))
    return value


def _in_another_order(case: Case, seed: int) -> Case:
    """Every list in the documents, save the mesh's, whose cipher suites are in order of preference."""
    rng = random.Random(seed)
    document = msgspec.to_builtins(case)
    parts = {part: _shuffled(document[part], rng) for part in ("workload", "policy", "services") if part in document}
    return msgspec.convert(document | parts, Case)


@pytest.mark.parametrize("name", cases.names())
@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_documents_and_of_lists_in_them_does_not_matter(name: str, seed: int) -> None:
    case = cases.read(name)
    shuffled = _in_another_order(case, seed)
    one, other = case.translate(), shuffled.translate()
    assert resources(one) == resources(other)
    assert one.assignments == other.assignments
    assert _bytes(case.assignments(one)) == _bytes(shuffled.assignments(other))


@pytest.mark.parametrize("name", cases.names())
def test_a_change_of_endpoints_touches_load_assignments_alone(name: str) -> None:
    case = cases.read(name)
    emptied = tuple(msgspec.structs.replace(service, endpoints=()) for service in case.services)
    one, other = case.translate(), msgspec.structs.replace(case, services=emptied).translate()
    assert resources(one) == resources(other)
    assert one.assignments == other.assignments


@pytest.mark.parametrize("name", cases.names())
def test_names_are_unique_and_sorted(name: str) -> None:
    translation = cases.read(name).translate()
    for built in (translation.clusters, translation.listeners, translation.routes):
        found = [one.name for one in built]
        assert found == sorted(set(found))
        assert all(getattr(one.message, "name") == one.name for one in built)  # noqa: B009 -- Message has no name
    assert len({key.name for key in translation.assignments}) == len(translation.assignments)


@pytest.mark.parametrize("name", cases.names())
def test_proxies_that_differ_in_id_alone_get_the_same(name: str) -> None:
    case = cases.read(name)
    twin = msgspec.structs.replace(
        case, workload=msgspec.structs.replace(case.workload, proxy_id="another-1.elsewhere")
    )
    assert resources(case.translate()) == resources(twin.translate())
