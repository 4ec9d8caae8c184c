"""`scripts/images` where there is docker: one that only notes what it is asked. Tests that build use podman."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[3]

DOCKER = """\
#!/bin/sh
echo "$*" >>"$NOTES"
case $1 in
  save)
    [ "$2" = --output ] || { echo "unknown flag: $2" >&2; exit 125; }
    echo archive >"$3"
    ;;
  image) [ "$2" != inspect ] ;;
  build) cat >/dev/null ;;
esac
"""
"""Of `docker image save` it knows what Docker's reference has: `--output`; and no image is there yet."""


def run(folder: Path) -> list[str]:
    programs, notes = folder / "bin", folder / "notes"
    programs.mkdir()
    (programs / "docker").write_text(DOCKER)
    (programs / "docker").chmod(0o700)
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "NOTES": str(notes),
    }
    done = subprocess.run(
        [ROOT / "scripts" / "images"], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return notes.read_text().splitlines()


def test_both_archives_are_saved_and_nothing_else_of_the_user_is_touched(tmp_path: Path) -> None:
    asked = run(tmp_path)
    archives = tmp_path / "cache" / "osm" / "images"
    assert [line.split()[2] for line in asked if line.startswith("save")] == [
        str(archives / "ours.tar"),
        str(archives / "others.tar"),
    ]
    assert {line.split()[0] for line in asked} == {"info", "image", "pull", "build", "tag", "save"}
    assert not [line for line in asked if "prune" in line]
