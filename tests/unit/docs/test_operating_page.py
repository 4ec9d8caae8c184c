"""docs/operating.md names metrics that are counted, by the names that Prometheus shows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
CREATED = re.compile(r'create_\w+\(\s*"(osm\.[\w.]+)"')
UNITS = re.compile(r"_(?:total|seconds)$")


def test_every_metric_on_the_page_is_counted_somewhere() -> None:
    sources = [path.read_text(encoding="utf-8") for part in ("osm", "services") for path in (ROOT / part).rglob("*.py")]
    counted = {name.replace(".", "_") for text in sources for name in CREATED.findall(text)}
    named = {UNITS.sub("", name) for name in re.findall(r"`(osm_\w+)`", PAGE)}
    assert len(named) > 5
    assert named <= counted
