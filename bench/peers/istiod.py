"""Istio's control plane as a process: the stock `pilot-discovery`, outside a cluster, before a real API server.

`DEFAULT` is how it comes; `TUNED` what its users turn when pushes are to be fast.
"""

import os
import resource
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from bench.client_certificates import Passports
from bench.mesh import free_address
from bench.peers.cluster import process, ready
from osm.pki.files import write_secret

DEFAULT: Mapping[str, str] = {}
TUNED: Mapping[str, str] = {
    "PILOT_ENABLE_EDS_DEBOUNCE": "false",
    "PILOT_DEBOUNCE_AFTER": "10ms",
    "PILOT_MAX_REQUESTS_PER_SECOND": "5000",
    "PILOT_PUSH_THROTTLE": "1000",
}
ALWAYS: Mapping[str, str] = {"ENABLE_CA_SERVER": "false", "INJECT_ENABLED": "false", "POD_NAMESPACE": "istio-system"}
"""What is not measured is off: signing certificates, admitting pods."""
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Istiod:
    """Looked at from outside, by what the kernel tells: processor time in ticks, so only sums over many pushes."""

    def __init__(self, pid: int, target: str) -> None:
        self.target = target
        self._proc = Path(f"/proc/{pid}")

    def cpu_s(self) -> float:
        after_name = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(after_name[11]) + int(after_name[12])) / TICKS_PER_S

    def rss_bytes(self) -> int:
        return int((self._proc / "statm").read_text().split()[1]) * resource.getpagesize()


@asynccontextmanager
async def istiod(
    program: Path, folder: Path, passports: Passports, kubeconfig: Path, settings: Mapping[str, str]
) -> AsyncIterator[Istiod]:
    """Run it until the block ends. Raises ChildFailed if it ends by itself, TimeoutError if it is never ready."""
    target, http = free_address(), free_address()
    arguments = _arguments(folder, passports, kubeconfig, target, http)
    async with (
        process(program, arguments, folder, {**ALWAYS, **settings}) as running,
        aiohttp.ClientSession(f"http://{http}", raise_for_status=True) as session,
    ):
        await ready(session, "/ready", (running,))
        yield Istiod(running.pid, target)


def _arguments(folder: Path, passports: Passports, kubeconfig: Path, target: str, http: str) -> list[str]:
    files = {
        "cert.pem": passports.server.chain_pem,
        "key.pem": passports.server.key_pem,
        "roots.pem": passports.roots_pem,
    }
    for name, text in files.items():
        write_secret(folder / name, text.encode())
    return [
        "discovery",
        f"--kubeconfig={kubeconfig}",
        f"--tlsCertFile={folder / 'cert.pem'}",
        f"--tlsKeyFile={folder / 'key.pem'}",
        f"--caCertFile={folder / 'roots.pem'}",
        f"--secureGRPCAddr={target}",
        f"--httpAddr={http}",
        f"--monitoringAddr={free_address()}",
        "--grpcAddr=",
        "--httpsAddr=",
        "--ctrlz_port=0",
        "--shutdownDuration=1s",
    ]
