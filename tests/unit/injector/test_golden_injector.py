"""Every golden folder: the pod that comes out is what is written there, and nothing else is written there."""

import pytest

from tests.golden.injector import cases


@pytest.mark.parametrize("name", cases.names())
def test_a_pod_is_injected_as_written(name: str, rewrite_golden: bool) -> None:
    folder = cases.HERE / name
    expected = cases.results(cases.load(name))
    present = {path.name for path in folder.iterdir()} - {cases.INPUT}
    if rewrite_golden:
        for stale in present - expected.keys():
            (folder / stale).unlink()
        for file, text in expected.items():
            (folder / file).write_text(text)
        return
    assert present == expected.keys(), "missing or stale files; run with --rewrite-golden and read the diff"
    for file, text in expected.items():
        assert (folder / file).read_text() == text, f"{name}/{file}: run with --rewrite-golden and read the diff"


def test_every_folder_is_a_case() -> None:
    folders = {path.name for path in cases.HERE.iterdir() if path.is_dir() and not path.name.startswith("_")}
    assert folders == set(cases.names())
    assert len(folders) >= 5
