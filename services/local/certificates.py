"""A proxy's certificate on disk: key, chain and roots change together, or not at all.

Each version is a folder of its own; the link `current` moves from one to the next in one step, and the folder that
holds the link is what Envoy watches. Keys are made here and stay here: mode 0600, gone with the workload.
"""

import shutil
import tempfile
from pathlib import Path

from osm.envoy.bootstrap import CertificateFiles
from osm.pki.files import private_folder, write_secret

_CURRENT = "current"


class CertificateFolder:
    """The certificate files of one proxy, below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def files(self) -> CertificateFiles:
        """Where Envoy finds them, always through the link."""
        link = self.path / _CURRENT
        return CertificateFiles(
            chain=link / "chain.pem", key=link / "key.pem", roots=link / "roots.pem", watched=self.path
        )

    def write(self, *, key_pem: str, chain_pem: str, roots_pem: str) -> None:
        """Put a new version in place and drop those before the last one. Raises OSError."""
        private_folder(self.path)
        version = Path(tempfile.mkdtemp(prefix="version-", dir=self.path))
        for name, body in (("key.pem", key_pem), ("chain.pem", chain_pem), ("roots.pem", roots_pem)):
            write_secret(version / name, body.encode())
        last = self._current()
        fresh = self.path / f".{version.name}"
        fresh.symlink_to(version.name)
        fresh.replace(self.path / _CURRENT)
        for old in self.path.glob("version-*"):
            if old not in (version, last):  # the last one: an Envoy may be reading it at this moment
                shutil.rmtree(old)

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _current(self) -> Path | None:
        link = self.path / _CURRENT
        return self.path / link.readlink() if link.is_symlink() else None
