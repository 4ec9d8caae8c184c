"""What a result needs to be compared with another: the machine it ran on and the versions it ran with."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

from bench.result import Machine

PACKAGES = ("grpcio", "protobuf", "msgspec", "uvloop", "cryptography", "nats-py")
GIB = 1024**3


def this_machine() -> Machine:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(cpu=_cpu(), cores=os.cpu_count() or 0, memory_gib=round(pages / GIB, 1), kernel=platform.release())


def versions() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def load() -> float:
    """Processes that want to run, on average over the last minute."""
    return round(os.getloadavg()[0], 2)


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
