"""The generated pages of docs/: fresh, deterministic, and complete."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from osm.bus.rights import may_read
from osm.contracts.channels import RPCS, STATES
from scripts import asyncapi_page, cli_page, generated, settings_page

ROOT = Path(__file__).parents[3]


def test_the_checked_in_pages_are_fresh() -> None:
    assert generated.stale(ROOT, generated.pages()) == []


def test_rendering_twice_gives_the_same_text() -> None:
    assert generated.pages() == generated.pages()


def test_the_check_names_the_stale_file_and_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generated.main([], tmp_path) == 0
    assert generated.main(["--check"], tmp_path) == 0
    (tmp_path / "docs" / "settings.md").write_text("old")
    assert generated.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().err == "docs/settings.md is stale: run `make docs`\n"
    assert (tmp_path / "docs" / "settings.md").read_text() == "old"


def test_the_program_runs_from_any_folder(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "generated.py"), "--check"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_is_on_the_page_with_its_options() -> None:
    page = cli_page.render()
    for command in ("osm install", "osm namespace add", "osm policy check-pods", "osm verify ingress", "osm check"):
        assert f"\n## {command}\n" in page
    assert "\n## osm prepare\n" not in page  # a Job runs it, no person
    assert "| `--isolated`, `--explicit` |" in page
    assert "| `--osm-namespace` |" in page


def test_every_channel_of_the_table_is_on_the_page() -> None:
    channels = yaml.safe_load(asyncapi_page.render())["channels"]
    expected = {f"{state.bucket}.{state.entity}" for state in STATES}
    for rpc in RPCS:
        expected |= {f"{rpc.owner}.{rpc.verb}", f"{rpc.owner}.{rpc.verb}.reply"}
    assert channels.keys() == expected


def test_readers_on_the_page_are_those_the_bus_admits() -> None:
    for state in STATES:
        listed = asyncapi_page.readers(state.bucket)
        everyone = ["catalog", "certmgr", "cli", "console", "endpoints", "injector", "local", "meshspec", "xds"]
        assert listed == [name for name in everyone if may_read(name, state.bucket)]


def test_every_reference_of_the_page_leads_somewhere() -> None:
    page = yaml.safe_load(asyncapi_page.render())

    def follow(value: object) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                found = page
                for step in value["$ref"].removeprefix("#/").split("/"):
                    found = found[step]
            for inner in value.values():
                follow(inner)
        elif isinstance(value, list):
            for inner in value:
                follow(inner)

    follow(page)


def test_every_service_that_starts_is_on_the_settings_page() -> None:
    page = settings_page.render()
    missing = [name for name in settings_page.service_names() if f"## {name}\n" not in page and name not in page]
    assert settings_page.service_names()
    assert missing == []


def test_a_setting_without_a_docstring_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare_settings.py").write_text(
        "from msgspec import Struct\n\n\nclass Settings(Struct):\n    silent: int = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("bare_settings")
    with pytest.raises(ValueError, match="field silent of Settings has no docstring"):
        settings_page.table("OSM_BARE_", module.Settings, module)
