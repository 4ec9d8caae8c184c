"""A Kubernetes API server with its etcd, and nothing else: what Istio reads, for the length of a block.

Loopback only, one token, a serving certificate that it makes itself. No controllers: what is written is all there is.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.child import END_WITHIN_S, ChildFailed
from bench.mesh import free_address
from osm.pki.files import write_secret
from osm.pki.keys import key_pem, make_key

PEM, SUBJECT_PUBLIC_KEY_INFO = Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
TOKEN = "bench"
READY_WITHIN_S = 120.0
LOOK_EVERY_S = 0.2
LAST_WORDS = 2_000


class Cluster:
    """Writes objects; open it with `cluster`."""

    def __init__(self, http: aiohttp.ClientSession, kubeconfig: Path) -> None:
        self._http = http
        self.kubeconfig = kubeconfig

    async def create(self, path: str, document: dict[str, Any]) -> None:
        """Raises aiohttp.ClientResponseError when the API server refuses."""
        async with self._http.post(path, json=document):
            return

    async def replace(self, path: str, document: dict[str, Any]) -> None:
        """Whatever version is there. Raises aiohttp.ClientResponseError when the API server refuses."""
        async with self._http.put(path, json=document):
            return


@asynccontextmanager
async def cluster(programs: Path, folder: Path) -> AsyncIterator[Cluster]:
    """`programs` holds etcd and kube-apiserver. Raises ChildFailed if one ends by itself, TimeoutError if not ready."""
    etcd, peer, address = free_address(), free_address(), free_address()
    async with AsyncExitStack() as stack:
        etcd_arguments = _etcd(folder, f"http://{etcd}", f"http://{peer}")
        store = await stack.enter_async_context(process(programs / "etcd", etcd_arguments, folder))
        api_arguments = _api_server(folder, f"http://{etcd}", address)
        api = await stack.enter_async_context(process(programs / "kube-apiserver", api_arguments, folder))
        http = await stack.enter_async_context(
            aiohttp.ClientSession(
                f"https://{address}",
                headers={"Authorization": f"Bearer {TOKEN}"},
                connector=aiohttp.TCPConnector(ssl=False),
                raise_for_status=True,
            )
        )
        await ready(http, "/readyz", (store, api))
        write_secret(folder / "kubeconfig", _kubeconfig(address).encode())
        yield Cluster(http, folder / "kubeconfig")


class Running:
    """A program that writes its words into a file of the folder."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        self.pid = process.pid
        self._name = name
        self._process = process
        self._log = log

    def require(self) -> None:
        """Raises ChildFailed with its last words if it has ended."""
        if self._process.returncode is not None:
            said = self._log.read_text(errors="replace")[-LAST_WORDS:]
            raise ChildFailed(f"{self._name} ended with code {self._process.returncode}: {said}")


@asynccontextmanager
async def process(
    program: Path, arguments: list[str], folder: Path, settings: dict[str, str] | None = None
) -> AsyncIterator[Running]:
    """Run a program until the block ends; by force if it does not go."""
    log = folder / f"{program.name}.log"
    with log.open("wb") as words:
        running = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), **(settings or {})},
        )
    try:
        yield Running(program.name, running, log)
    finally:
        if running.returncode is None:
            running.terminate()
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await running.wait()
        except TimeoutError:
            running.kill()
            await running.wait()


async def ready(http: aiohttp.ClientSession, path: str, running: tuple[Running, ...]) -> None:
    """Wait until it answers well. Raises ChildFailed, TimeoutError."""
    async with asyncio.timeout(READY_WITHIN_S):
        while True:
            for one in running:
                one.require()
            try:
                async with http.get(path):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(LOOK_EVERY_S)


def _etcd(folder: Path, client: str, peer: str) -> list[str]:
    return [
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def _api_server(folder: Path, etcd: str, address: str) -> list[str]:
    write_secret(folder / "tokens.csv", f"{TOKEN},bench,bench,system:masters\n".encode())
    accounts = make_key()
    write_secret(folder / "accounts.key", key_pem(accounts))
    write_secret(folder / "accounts.pub", accounts.public_key().public_bytes(PEM, SUBJECT_PUBLIC_KEY_INFO))
    host, _, port = address.rpartition(":")
    return [
        f"--etcd-servers={etcd}",
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
    ]


def _kubeconfig(address: str) -> str:
    return f"""\
apiVersion: v1
kind: Config
clusters: [{{name: bench, cluster: {{server: "https://{address}", insecure-skip-tls-verify: true}}}}]
users: [{{name: bench, user: {{token: {TOKEN}}}}}]
contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]
current-context: bench
"""
