"""Where the chart is found: beside a checkout, and inside a wheel."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import osm
from osm.cli.kubernetes.chart import chart_path
from osm.cli.output import CommandError

ROOT = Path(__file__).parents[3]


def test_a_checkout_has_it_beside_the_code() -> None:
    assert chart_path() == ROOT / "deploy" / "chart"


def test_an_installation_has_it_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "osm" / "chart").mkdir(parents=True)
    monkeypatch.setattr(osm, "__file__", str(tmp_path / "osm" / "__init__.py"))
    with pytest.raises(CommandError, match="the Helm chart is not in"):
        chart_path()
    (tmp_path / "osm" / "chart" / "Chart.yaml").touch()
    assert chart_path() == tmp_path / "osm" / "chart"


def test_the_wheel_carries_all_of_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=90)
    (wheel,) = tmp_path.glob("*.whl")
    chart = ROOT / "deploy" / "chart"
    files = {f"osm/chart/{each.relative_to(chart)}" for each in chart.rglob("*") if each.is_file()}
    assert files <= set(zipfile.ZipFile(wheel).namelist())
