"""A process that leads when it may: says `waiting`, `leading`, `lost`, and on any line whether it still holds."""

import asyncio
import sys

import structlog

from osm.k8s.client import connected
from osm.k8s.lease import Leadership, leading

LEASE_S = 10.0
"""Longer than a busy machine keeps a living leader from renewing, and no longer than a test should wait."""


async def lead(kubeconfig: str, name: str, holder: str) -> None:
    async with connected(kubeconfig) as cluster:
        say("waiting")
        async with leading(cluster, "default", name, holder, lease_s=LEASE_S) as leadership:
            say("leading")
            loop = asyncio.get_running_loop()
            loop.add_reader(sys.stdin, lambda: answer(leadership))
            await leadership.lost.wait()
            loop.remove_reader(sys.stdin)
            say("lost")


def answer(leadership: Leadership) -> None:
    sys.stdin.readline()
    say(f"holds {leadership.holds()}")


def say(what: str) -> None:
    sys.stdout.write(what + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(lead(*sys.argv[1:]))
