"""The peers' numbers in docs/performance.md, written anew from a comparison; the words around them are a person's."""

from pathlib import Path

from bench.page import DOCS, Markers, filled
from bench.peers.result import Comparison
from bench.peers.table import numbers

PAGE = DOCS / "performance.md"
PEERS: Markers = ("<!-- peers: written by `python -m bench.peers --page` -->", "<!-- end of peers -->")


def write(found: Comparison, page: Path = PAGE) -> Path:
    """The file written. Raises ValueError if it has lost its markers."""
    page.write_text(filled(page.read_text(), PEERS, numbers(found)))
    return page
