"""The page that holds this mesh against OSM's tests names tests that exist."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/conformance.md"
NAMED = re.compile(r"([\w./]+\.py|…)(?:::(test_\w+))?")
SAME = "…"


def named() -> list[tuple[Path, str]]:
    """(file, test) in the page's order; without a test, the file alone. `…` is the file named last."""
    found, last = [], Path()
    for file, test in NAMED.findall(PAGE.read_text()):
        if file != SAME:
            last = ROOT / file.removeprefix("../") if "tests/" in file else ROOT / "tests/cluster" / file
        if file != SAME or test:
            found.append((last, test))
    return found


def test_every_test_on_the_page_exists() -> None:
    missing = [
        f"{file.relative_to(ROOT)}::{test}"
        for file, test in named()
        if not file.exists() or (test and f"def {test}(" not in file.read_text())
    ]
    assert len(named()) > 40
    assert missing == []


def test_the_page_has_a_row_for_every_test_of_osm_and_counts_them_right() -> None:
    rows = dict(re.findall(r"^\| ([\d, ]+) \| (.*)$", PAGE.read_text(), re.MULTILINE))
    assert [int(number) for each in rows for number in each.split(", ")] == list(range(1, 46))
    told = [
        int(number) for number in re.findall(r"\*\*(\d+) are proven, (\d+) in part, (\d+) not", PAGE.read_text())[0]
    ]
    states = Counter(row.split(" | ")[2].strip("*") for numbers, row in rows.items() for _ in numbers.split(", "))
    assert states["not here"] == 45 - sum(told)
    assert told == [states["proven"], states["in part"], states["not yet"]]


def test_every_row_of_the_page_has_a_note() -> None:
    page = PAGE.read_text()
    rows = re.findall(r"^\| ([\d, ]+) \| (\w+) \|", page, re.MULTILINE)
    assert rows == re.findall(r"^- \*\*([\d, ]+) (\w+)\.\*\*", page, re.MULTILINE)
