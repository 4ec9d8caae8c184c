"""How this process gets to the API server: where it is, whom it trusts there, and what it shows.

In a pod that is a token and a certificate; elsewhere what a kubeconfig says (`credentials`).
"""

import os
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from osm.k8s.credentials import FromKubeconfig
from osm.k8s.errors import NoCluster

MOUNTED = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where kubelet puts a pod's token and the cluster's root certificate."""

TOKEN_GOOD_FOR_S = 60.0
"""kubelet renews a token long before it expires; it is read again after this."""


class Access(Protocol):
    """A way to one API server, under one name."""

    host: str
    """Such as https://10.0.0.1:443, without a final slash."""
    tls: ssl.SSLContext
    server_name: str | None
    """What the certificate must say, if not the host's name."""
    proxy: str | None

    def headers(self) -> Mapping[str, str]:
        """What to send with every request."""

    async def renew(self) -> None:
        """Read the credentials again: the server no longer takes them. Raises NoCluster if they cannot be had."""


async def access(kubeconfig: str = "", context: str = "") -> Access:
    """`kubeconfig`, else $KUBECONFIG, else ~/.kube/config, else a pod's own. Raises NoCluster."""
    files = kubeconfig or os.environ.get("KUBECONFIG", "")
    usual = Path.home() / ".kube" / "config"
    if files:
        _require_one(files)
        return await FromKubeconfig.load(files, context)
    if usual.is_file():
        return await FromKubeconfig.load(str(usual), context)
    if host := os.environ.get("KUBERNETES_SERVICE_HOST"):
        return InPod(host, os.environ.get("KUBERNETES_SERVICE_PORT", "443"))
    raise NoCluster(
        f"no Kubernetes cluster: KUBECONFIG is not set, {usual} does not exist, and this is not a pod; "
        "set KUBECONFIG to the file that your kubectl uses"
    )


def _require_one(files: str) -> None:
    """Of several files some may be missing, as kubectl has it."""
    if not any(Path(each).is_file() for each in files.split(os.pathsep) if each):
        raise NoCluster(f"no Kubernetes cluster: found no file at {files}; check --kubeconfig or KUBECONFIG")


class InPod:
    """A pod's way, with its service account's token."""

    def __init__(self, host: str, port: str, mounted: Path = MOUNTED) -> None:
        """Raises NoCluster if the pod has no token."""
        self.host = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self.server_name: str | None = None
        self.proxy: str | None = None
        self._token = mounted / "token"
        self._read_s = float("-inf")
        self._header = ""
        try:
            self.tls = ssl.create_default_context(cafile=str(mounted / "ca.crt"))
            self.tls.verify_flags &= ~ssl.VERIFY_X509_STRICT  # for the reason that `credentials.tls` has
            self.headers()
        except OSError as error:
            raise NoCluster(
                f"this pod has no token: {error}; allow it with automountServiceAccountToken: true"
            ) from error

    def headers(self) -> Mapping[str, str]:
        """With the last token while none can be read: kubelet is about to put one there, or the server refuses it."""
        now = time.monotonic()
        if now - self._read_s >= TOKEN_GOOD_FOR_S:
            try:
                self._header, self._read_s = f"Bearer {self._token.read_text().strip()}", now
            except OSError:
                if not self._header:
                    raise
        return {"Authorization": self._header}

    async def renew(self) -> None:
        self._read_s = float("-inf")
