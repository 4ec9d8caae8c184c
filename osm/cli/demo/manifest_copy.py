"""The copy of the manifests that the demo works on, and the three edits its keys make.

Edits are changes of text, so that comments and what a user wrote by hand stay. A file appears whole or not at all.
"""

import difflib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from importlib.resources import as_file, files
from pathlib import Path

from msgspec import Struct

ADMIT_THIEF = "admit-thief.yaml"
TRAFFIC_SPLIT = "traffic-split.yaml"
MESH_CONFIG = "mesh-config.yaml"

SPLITS = ((50, 50), (90, 10), (100, 0), (0, 100))
"""What the key walks through, version 1 and version 2."""

_WEIGHT = re.compile(r"(?m)^(\s*weight:\s*)(\d+)\b")
_PERMISSIVE = re.compile(r"(?m)^(\s*enablePermissiveTrafficPolicyMode:\s*)(true|false)\b")
_LIFETIME = re.compile(r"(?m)^(\s*serviceCertValidityDuration:\s*)(\S+)")


class CannotEdit(ValueError):
    """The file is not what the demo wrote any more; the message says what was looked for."""


class Edit(Struct, frozen=True, kw_only=True):
    """A file's text before and after; None where there is no file."""

    path: Path
    before: str | None
    after: str | None

    def diff(self) -> str:
        """As `diff -u` would print it, without the heads' times."""
        lines = difflib.unified_diff(
            (self.before or "").splitlines(),
            (self.after or "").splitlines(),
            self.path.name if self.before is not None else "(no file)",
            self.path.name if self.after is not None else "(no file)",
            n=1,
            lineterm="",
        )
        return "\n".join(lines)

    def apply(self) -> None:
        """Put the text in place in one step: no reader sees half of it."""
        if self.after is None:
            self.path.unlink(missing_ok=True)
            return
        draft = self.path.with_name(f".{self.path.name}.new")
        draft.write_text(self.after)
        draft.replace(self.path)

    def undone(self) -> "Edit":
        return Edit(path=self.path, before=self.after, after=self.before)


class ManifestCopy:
    """A folder with the demo's manifests, to be edited by keys and by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def lay_out(cls, folder: Path) -> "ManifestCopy":
        """Copy the manifests into `folder`, which must not exist."""
        with as_file(files("demo") / "manifests") as manifests:
            shutil.copytree(manifests, folder)
        for path in (folder, *folder.iterdir()):
            path.chmod(0o700 if path.is_dir() else 0o600)
        return cls(folder)

    def toggle_thief(self) -> Edit:
        """Add the TrafficTargets that let the thief in, or take them away."""
        path = self.folder / ADMIT_THIEF
        if path.exists():
            return Edit(path=path, before=path.read_text(), after=None)
        return Edit(path=path, before=None, after=(files("demo") / "edits" / ADMIT_THIEF).read_text())

    def next_split(self) -> Edit:
        """The next of SPLITS after what the file says now."""
        now = self.weights()
        return self.split(SPLITS[(SPLITS.index(now) + 1) % len(SPLITS)] if now in SPLITS else SPLITS[0])

    def split(self, weights: Sequence[int]) -> Edit:
        """Give the split's backends these weights, in the file's order. Raises CannotEdit."""
        self.weights()
        remaining = iter(weights)
        return self._rewrite(TRAFFIC_SPLIT, lambda text: _WEIGHT.sub(lambda m: f"{m[1]}{next(remaining)}", text))

    def weights(self) -> tuple[int, ...]:
        """What the file asks for now. Raises CannotEdit unless it has two weights."""
        found = tuple(int(weight) for _, weight in _WEIGHT.findall((self.folder / TRAFFIC_SPLIT).read_text()))
        if len(found) != 2:
            raise CannotEdit(f"{TRAFFIC_SPLIT}: looked for two lines `weight: N`, found {len(found)}")
        return found

    def is_permissive(self) -> bool:
        """What the file asks for now. Raises CannotEdit."""
        found = _PERMISSIVE.search((self.folder / MESH_CONFIG).read_text())
        if found is None:
            raise CannotEdit(f"{MESH_CONFIG}: looked for a line `enablePermissiveTrafficPolicyMode: true or false`")
        return found[2] == "true"

    def toggle_permissive(self) -> Edit:
        return self.permissive(wanted=not self.is_permissive())

    def permissive(self, *, wanted: bool) -> Edit:
        value = "true" if wanted else "false"
        return self._rewrite(MESH_CONFIG, lambda text: _PERMISSIVE.sub(rf"\g<1>{value}", text))

    def leaf_lifetime(self, duration: str) -> Edit:
        """How long workloads' certificates live, such as `8s`."""
        return self._rewrite(MESH_CONFIG, lambda text: _LIFETIME.sub(rf"\g<1>{duration}", text))

    def add_protocols(self) -> list[Edit]:
        """The manifests of the echo pair, which speaks every protocol."""
        folder = files("demo") / "protocols"
        return [
            Edit(path=self.folder / f"protocols-{entry.name}", before=None, after=entry.read_text())
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
            if entry.name.endswith(".yaml")
        ]

    def _rewrite(self, name: str, change: Callable[[str], str]) -> Edit:
        path = self.folder / name
        try:
            before = path.read_text()
        except OSError as error:
            raise CannotEdit(f"{name}: {os.strerror(error.errno or 0)}") from error
        return Edit(path=path, before=before, after=change(before))
