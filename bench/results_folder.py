"""Where results are kept, as JSON: a file for each, named after its date."""

from pathlib import Path

import msgspec

from bench.result import Measured

RESULTS = Path(__file__).parent / "results"


def save(found: Measured, prefix: str = "") -> Path:
    """The file written; an earlier one of the same date is replaced."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{prefix}{found.date.replace(':', '').replace('+0000', 'Z')}.json"
    return write(found, path)


def write(found: Measured, path: Path) -> Path:
    """The file, written anew."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
    return path
