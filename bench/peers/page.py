"""The peers' numbers in docs/performance.md, written anew from a comparison; the words around them are a person's."""

from pathlib import Path

from bench import results_folder
from bench.page import DOCS, Markers, filled
from bench.peers.result import Comparison
from bench.peers.table import numbers

PAGE = DOCS / "performance.md"
PEERS: Markers = ("<!-- peers: written by `python -m bench.peers --page` -->", "<!-- end of peers -->")


def write(found: Comparison, page: Path = PAGE) -> tuple[Path, Path]:
    """The files written: the page, and all that was found beside it. Raises ValueError if it has lost its markers."""
    page.write_text(filled(page.read_text(), PEERS, numbers(found)))
    return page, results_folder.write(found, page.with_name("performance-peers.json"))
