"""Writes the pages of docs/ that follow from code, or with --check says which of them are stale.

Apart from the pages themselves, because this is the only part that touches files. Both pages are checked in: the
difference of one is what a reviewer reads to see that a contract or a setting has changed.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a checkout that is not installed can write its pages too

from scripts import asyncapi_page, settings_page  # noqa: E402  # found through the line above


def pages() -> Mapping[str, str]:
    """File below docs/ → its whole text."""
    return {"bus.asyncapi.yaml": asyncapi_page.render(), "settings.md": settings_page.render()}


def stale(folder: Path, fresh: Mapping[str, str]) -> list[str]:
    """The files of `folder` that are missing or say something else, sorted."""
    return sorted(
        name
        for name, text in fresh.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    )


def main(arguments: list[str], folder: Path = ROOT / "docs") -> int:
    """The exit status: 0, or 1 if --check found a stale page."""
    parser = ArgumentParser(description="write the generated pages of docs/")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is stale")
    check: bool = parser.parse_args(arguments).check
    fresh = pages()
    old = stale(folder, fresh)
    for name in old:
        if check:
            sys.stderr.write(f"docs/{name} is stale: run `make docs`\n")
        else:
            (folder / name).write_text(fresh[name], encoding="utf-8")
            sys.stdout.write(f"docs/{name} written\n")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
