"""A port of this machine that leads into a cluster, for as long as kubectl is left to run."""

import os
import re
import subprocess
import tempfile
import time

from tests.cluster.node import Cluster, Failed

OPEN_WITHIN_S = 120.0


class Forward:
    """`kubectl port-forward …` or `kubectl proxy …`, which listens on `port` of 127.0.0.1 until it is closed."""

    def __init__(self, cluster: Cluster, *arguments: str) -> None:
        """Waits until it listens. Raises Failed."""
        self._command = ("kubectl", *arguments)
        # It tells every connection, and would stop at a full pipe.
        self._told = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the forward
        self._process = subprocess.Popen(
            self._command, env=dict(cluster.environment), stdout=self._told, stderr=subprocess.STDOUT
        )
        try:
            self.port = self._opened()
        except BaseException:
            self.close()
            raise

    def lasts(self) -> bool:
        """It still runs: it ends with what it leads to."""
        return self._process.poll() is None

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._told.close()

    def _opened(self) -> int:
        last = time.monotonic() + OPEN_WITHIN_S
        while time.monotonic() < last:
            ended = not self.lasts()
            if found := re.search(rb"127\.0\.0\.1:(\d+)\s", told := self._all_told()):
                return int(found[1])
            if ended:
                raise Failed(f"{' '.join(self._command)}: {told.decode(errors='replace')}")
            time.sleep(0.02)
        raise Failed(f"{' '.join(self._command)}: no word within {OPEN_WITHIN_S:g} s")

    def _all_told(self) -> bytes:
        return os.pread(self._told.fileno(), 4096, 0)  # from where it stands, kubectl goes on to write
