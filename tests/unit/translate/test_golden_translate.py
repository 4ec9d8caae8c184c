"""Every golden folder: what comes out is what is written there, and nothing else is written there."""

import pytest

from services.xds.translate import Planned
from tests.golden.translate import cases


@pytest.mark.parametrize("name", cases.names())
def test_translation_is_as_written(name: str, rewrite_golden: bool) -> None:
    folder = cases.HERE / name
    expected = cases.rendered(cases.read(name))
    present = {path.name for path in folder.iterdir()} - {cases.INPUT}
    if rewrite_golden:
        for stale in present - expected.keys():
            (folder / stale).unlink()
        for file, content in expected.items():
            (folder / file).write_text(content)
        return
    assert present == expected.keys(), "missing or stale files; run with --rewrite-golden and read the diff"
    for file, content in expected.items():
        assert (folder / file).read_text() == content, f"{name}/{file}"


@pytest.mark.parametrize("name", cases.names())
def test_equal_plans_are_found_again(name: str) -> None:
    once, again = (cases.read(name).translate() for _ in range(2))
    made = {one: one.name for one in (*once.clusters, *once.listeners, *once.routes) if isinstance(one, Planned)}
    planned = [one for one in (*again.clusters, *again.listeners, *again.routes) if isinstance(one, Planned)]
    assert [made[one] for one in planned] == [one.name for one in planned]


def test_there_are_cases_for_both_interception_modes() -> None:
    kinds = {type(cases.read(name).workload.interception).__name__ for name in cases.names()}
    assert kinds == {"Explicit", "Transparent"}


def test_a_folder_without_input_is_stale() -> None:
    folders = {path.name for path in cases.HERE.iterdir() if path.is_dir() and not path.name.startswith("__")}
    assert folders == set(cases.names())
