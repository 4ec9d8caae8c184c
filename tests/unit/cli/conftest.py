"""Programs that the CLI runs, played by shell scripts: in tests nothing of a cluster is asked."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

OnPath = Callable[[str, str], None]


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnPath:
    """Put a program of this name and of these shell lines first on the PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    def write(name: str, lines: str) -> None:
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\n{lines}\n")
        script.chmod(0o755)

    return write
