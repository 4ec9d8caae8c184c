"""The import contracts of pyproject.toml, broken on purpose in a copy: a contract that cannot fail says nothing."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LINT = """
import sys
sys.path = [path for path in sys.path if path != sys.argv[1]]
from importlinter.cli import lint_imports_command
lint_imports_command(["--no-cache", "--no-logo"])
"""
"""lint-imports without the checkout on its path: services is a namespace, and would be the sum of both places."""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for package in ("osm", "services", "demo"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken(copy: Path) -> list[str]:
    """The names of the broken contracts; their lines are wrapped, so each name is cut to how it begins."""
    command = [sys.executable, "-c", LINT, str(ROOT)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    contracts = done.stdout.partition("\n---------\nContracts\n")[2].partition("\n\nContracts: ")[0]
    verdicts = contracts.partition("dependencies.\n")[2].partition("\n\n")[2].replace("\n", " ").split(" BROKEN")[:-1]
    assert done.returncode == (1 if verdicts else 0), done.stdout + done.stderr
    return [verdict.rpartition(" KEPT ")[2].strip() for verdict in verdicts]


def add(copy: Path, module: str, line: str) -> None:
    path = copy / module
    path.write_text(f"{path.read_text()}\n{line}\n")


def pure() -> set[str]:
    """The modules that the contracts hold to purity; of a package all."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return next(set(each["source_modules"]) for each in contracts if each["name"].startswith("What decides is pure"))


def says_so(path: Path) -> bool:
    return bool(re.search(r"\bPure[.:;]", ast.get_docstring(ast.parse(path.read_text())) or ""))


def test_every_module_that_calls_itself_pure_is_held_to_it() -> None:
    paths = [path for package in ("osm", "services") for path in sorted((ROOT / package).rglob("*.py"))]
    claims = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths if says_so(path)}
    held = pure()
    assert len(claims) > 50
    assert sorted(name for name in claims if not {name, name.rpartition(".")[0]} & held) == []


def test_all_contracts_hold(copy: Path) -> None:
    assert broken(copy) == []


@pytest.mark.parametrize(
    ("module", "line", "begins"),
    [
        ("services/catalog/app.py", "import services.xds.settings", "Services meet on the bus alone"),
        ("osm/bus/memory.py", "import osm.runtime.health", "Imports point down"),
        ("services/catalog/resolve.py", "import time", "What decides is pure"),
        ("services/xds/app.py", "import nats", "NATS is known to the bus alone"),
        ("services/local/app.py", "import osm.testing.ads_client", "Test parts are for tests"),
        ("demo/bookstore.py", "import osm.contracts", "The demo's apps are apps like any other"),
    ],
)
def test_an_import_that_a_contract_forbids_fails(copy: Path, module: str, line: str, begins: str) -> None:
    add(copy, module, line)
    names = broken(copy)
    assert any(name.startswith(begins) for name in names), names
