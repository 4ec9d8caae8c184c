"""The peers' numbers in docs/performance.md, written anew from a comparison; the words around them are a person's."""

from pathlib import Path

from bench.peers.result import Comparison
from bench.peers.table import numbers

PAGE = Path(__file__).parent.parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- peers: written by `python -m bench.peers --page` -->", "<!-- end of peers -->"


def write(found: Comparison, page: Path = PAGE) -> Path:
    """The file written. Raises ValueError if it has lost its markers."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"docs/performance.md: expected the lines {BEGIN!r} and {END!r}")
    page.write_text(f"{before}{BEGIN}\n\n{numbers(found)}\n{END}{after}")
    return page
