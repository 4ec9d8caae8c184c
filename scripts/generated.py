"""Writes the files that follow from others, or with --check says which of them are stale.

Apart from what is in them, because this is the only part that touches files. All are checked in: the difference of
one is what a reviewer reads to see that a contract, a right, a setting or a value has changed.
"""

import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a checkout that is not installed can write its pages too

from osm.bus import permissions  # noqa: E402  # found through the line above
from scripts import asyncapi_page, cli_page, settings_page, values_page  # noqa: E402  # the same

USERS = "# Who may say what on the bus. Made by `osm bus permissions`; do not edit.\n"


def pages() -> Mapping[str, str]:
    """File → its whole text."""
    users = USERS + permissions.render()
    return {
        "deploy/chart/files/users.conf": users,
        "deploy/nats/users.conf": users,
        "docs/bus.asyncapi.yaml": asyncapi_page.render(),
        "docs/cli.md": cli_page.render(),
        "docs/kubernetes-values.md": values_page.render(),
        "docs/settings.md": settings_page.render(),
    }


def stale(folder: Path, fresh: Mapping[str, str]) -> list[str]:
    """The files of `folder` that are missing or say something else, sorted."""
    return sorted(
        name
        for name, text in fresh.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    )


def main(arguments: list[str], folder: Path = ROOT) -> int:
    """The exit status: 0, or 1 if --check found a stale file."""
    parser = ArgumentParser(description="write the files that follow from others")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a file is stale")
    check: bool = parser.parse_args(arguments).check
    fresh = pages()
    old = stale(folder, fresh)
    for name in old:
        if check:
            sys.stderr.write(f"{name} is stale: run `make docs`\n")
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(fresh[name], encoding="utf-8")
            sys.stdout.write(f"{name} written\n")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
