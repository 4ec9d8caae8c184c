"""A real Kubernetes API server with its etcd, and nothing else: on free loopback ports, gone when the block ends.

It refuses to replace the server by a fake: what breaks watches is what real servers do when they restart, compact
and refuse. No controllers run: what is written is all there is (a namespace that is deleted stays, a Deployment makes
no pods), and a pod needs no ServiceAccount to exist. Blocking, so that a session of tests shares one server; async
code calls it with `asyncio.to_thread`.
"""

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from osm.envoy.end_with_parent import tied_to_parent
from osm.pki.files import write_secret
from osm.pki.issuing import make_root
from osm.pki.keys import key_pem, make_key
from osm.pki.reading import chain_pem
from osm.testing.free_ports import free_port

__all__ = ["ApiServer", "NoApiServer", "api_server", "find"]

VERSION = "1.35.4"
"""What we test with, and what `scripts/kubernetes api` builds."""

PROGRAMS = ("etcd", "kube-apiserver")

ADMIN = "admin"
STRANGER = "stranger"
"""The two users: one may do everything, the other nothing but what a test grants it."""

READY_WITHIN_S = 120.0
"""An API server makes its own objects before it is ready; a busy machine takes a minute for it."""

ANSWER_WITHIN_S = 30.0
END_WITHIN_S = 20.0
LOOK_EVERY_S = 0.1
LAST_WORDS = 2_000
DAY_S = 24 * 3600


class NoApiServer(RuntimeError):
    """A program is missing or did not start; the message says what to do."""


def find() -> Path:
    """The programs' folder: `OSM_KUBERNETES`, or the cache that `scripts/kubernetes` fills. Raises NoApiServer."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    named = os.environ.get("OSM_KUBERNETES")
    folder = Path(named) if named else cache / "osm" / "tools" / f"kubernetes-{VERSION}"
    missing = [name for name in PROGRAMS if not os.access(folder / name, os.X_OK)]
    if missing:
        raise NoApiServer(
            f"{' and '.join(missing)} not in {folder}: run `scripts/kubernetes api` (it needs Go), "
            "or set OSM_KUBERNETES to a folder that has them"
        )
    return folder


class ApiServer:
    """One etcd and one API server. `stop` and `start` again keep address, objects and versions, as a restart does."""

    def __init__(self, programs: Path, folder: Path, *, extra: tuple[str, ...] = ()) -> None:
        """`folder` holds its files; `extra` are more arguments of kube-apiserver."""
        self.address = _free_address()
        self.etcd = _free_address()
        self.kubeconfig = folder / "kubeconfig"
        self._peer = _free_address()
        self._programs = programs
        self._folder = folder
        self._extra = extra
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        _make_account_keys(folder)
        tokens = f"{ADMIN},{ADMIN},{ADMIN},system:masters\n{STRANGER},{STRANGER},{STRANGER}\n"
        write_secret(folder / "tokens.csv", tokens.encode())
        write_secret(self.kubeconfig, _kubeconfig(self.address, ADMIN).encode())

    def kubeconfig_of(self, user: str, address: str = "") -> Path:
        """A kubeconfig of `ADMIN` or `STRANGER`; `address` if it is to go through something on the way."""
        path = self._folder / f"{user}-{(address or self.address).replace(':', '-')}.kubeconfig"
        write_secret(path, _kubeconfig(address or self.address, user).encode())
        return path

    def start(self) -> None:
        """Returns when it is ready. Raises NoApiServer with the end of its log if it does not get so."""
        if "etcd" not in self._running:
            self._start("etcd", _etcd(self._folder, self.etcd, self._peer))
        self._start("kube-apiserver", [*_api_server(self._folder, self.etcd, self.address), *self._extra])
        self._until_ready()

    def stop(self) -> None:
        """An end of both, orderly if they obey."""
        for name in reversed(PROGRAMS):
            self._end(name, kill=False)

    def stop_api(self, *, kill: bool = False) -> None:
        """An end of the API server alone: etcd stays."""
        self._end("kube-apiserver", kill=kill)

    def compact(self) -> None:
        """Let etcd forget every version but the newest: who resumes from an older one is told 410."""
        newest = self._etcd("/v3/kv/range", {"key": "AA==", "limit": "1"})["header"]["revision"]
        self._etcd("/v3/kv/compaction", {"revision": newest, "physical": True})

    def request(self, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        """A GET, or a POST of `body`, as the administrator. Raises OSError, of which urllib's errors are."""
        headers = {"Authorization": f"Bearer {ADMIN}"}
        return _ask(f"https://{self.address}{path}", body, headers)

    def _etcd(self, path: str, body: Mapping[str, Any]) -> Any:
        return json.loads(_ask(f"http://{self.etcd}{path}", body, {}))

    def _start(self, name: str, arguments: list[str]) -> None:
        with self._log(name).open("ab") as words:
            self._running[name] = subprocess.Popen(
                tied_to_parent(str(self._programs / name), *arguments),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                cwd=self._folder,
                env={"PATH": os.environ["PATH"], "HOME": str(self._folder)},
            )

    def _end(self, name: str, *, kill: bool) -> None:
        process = self._running.pop(name, None)
        if process is None:
            return
        if kill:
            process.kill()
        process.terminate()
        try:
            process.wait(END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _until_ready(self) -> None:
        until = time.monotonic() + READY_WITHIN_S
        why = ""
        while time.monotonic() < until:
            for name, process in self._running.items():
                if process.poll() is not None:
                    raise NoApiServer(f"{name} ended with code {process.returncode}: {self._last_words(name)}")
            try:
                self.request("/readyz")
            except OSError as error:
                why = str(error)
                time.sleep(LOOK_EVERY_S)
            else:
                return
        raise NoApiServer(f"kube-apiserver not ready in {READY_WITHIN_S:.0f} s, {why}: {self._last_words(PROGRAMS[1])}")

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _last_words(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")[-LAST_WORDS:]


@contextmanager
def api_server(programs: Path | None = None, *, extra: tuple[str, ...] = ()) -> Iterator[ApiServer]:
    """A running server; ended and its files removed at the end, whatever happens in the block. Raises NoApiServer."""
    programs = programs or find()
    folder = Path(tempfile.mkdtemp(prefix="osm-kubernetes-"))
    try:
        server = ApiServer(programs, folder, extra=extra)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ask(url: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]) -> bytes:
    trust_any = ssl.create_default_context()
    trust_any.check_hostname = False
    trust_any.verify_mode = ssl.CERT_NONE
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})  # noqa: S310  # ours
    with urllib.request.urlopen(request, timeout=ANSWER_WITHIN_S, context=trust_any) as answer:  # noqa: S310  # ours
        said: bytes = answer.read()
        return said


def _make_account_keys(folder: Path) -> None:
    """What signs service accounts' tokens; the public half in a certificate, which kube-apiserver reads as well."""
    key = make_key()
    root = make_root(key, trust_domain="cluster.local", now_s=time.time(), lifetime_s=DAY_S, serial=1)
    write_secret(folder / "accounts.key", key_pem(key))
    write_secret(folder / "accounts.pub", chain_pem([root]).encode())


def _etcd(folder: Path, client: str, peer: str) -> list[str]:
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://{client}",
        f"--advertise-client-urls=http://{client}",
        f"--listen-peer-urls=http://{peer}",
        f"--initial-advertise-peer-urls=http://{peer}",
        f"--initial-cluster=default=http://{peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server(folder: Path, etcd: str, address: str) -> list[str]:
    host, _, port = address.rpartition(":")
    return [
        f"--etcd-servers=http://{etcd}",
        f"--bind-address={host}",
        f"--advertise-address={host}",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'api'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        f"--service-account-key-file={folder / 'accounts.pub'}",
        f"--service-account-signing-key-file={folder / 'accounts.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--authorization-mode=RBAC",
        "--endpoint-reconciler-type=none",
        "--disable-admission-plugins=ServiceAccount",
        "--shutdown-delay-duration=0s",
    ]


def _kubeconfig(address: str, token: str) -> str:
    return f"""\
apiVersion: v1
kind: Config
clusters: [{{name: test, cluster: {{server: "https://{address}", insecure-skip-tls-verify: true}}}}]
users: [{{name: test, user: {{token: {token}}}}}]
contexts: [{{name: test, context: {{cluster: test, user: test}}}}]
current-context: test
"""


def _free_address() -> str:
    return f"127.0.0.1:{free_port()}"
