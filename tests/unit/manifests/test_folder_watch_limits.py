from pathlib import Path

import pytest
from watchfiles._rust_notify import WatchfilesRustInternalError

from osm.manifests import folder
from osm.manifests.folder import watch

NAMESPACE = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n"


@pytest.fixture
def no_watches_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose inotify instances are all in use."""

    def refuse(*_arguments: object) -> None:
        raise WatchfilesRustInternalError("Too many open files (os error 24)")

    monkeypatch.setattr(folder, "RustNotify", refuse)


async def test_edits_are_seen_without_the_kernels_help(tmp_path: Path, no_watches_left: None) -> None:
    (tmp_path / "a.yaml").write_text(NAMESPACE.format(name="one"))
    scans = watch(tmp_path)
    assert [raw.name for raw in (await anext(scans)).documents] == ["one"]
    (tmp_path / "a.yaml").write_text(NAMESPACE.format(name="two"))
    async for scan in scans:
        if [raw.name for raw in scan.documents] == ["two"]:
            break
    await scans.aclose()  # type: ignore[attr-defined]  # an async generator, though typed by what it gives
