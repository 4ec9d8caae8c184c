"""Makes the mesh's own network by running `ip` and `iptables-restore`: once the common side, then each workload's.

Blocking: a workload's takes some 20 ms, so callers that serve others use a thread.
"""

import contextlib
import os
import subprocess
from pathlib import Path

from osm.envoy.redirect import rules
from osm.isolation import network
from osm.isolation.namespace_commands import in_space
from osm.isolation.network import REDIRECT
from osm.isolation.network_namespace import NetworkNamespace

WITHIN_S = 10.0
"""Each program takes milliseconds; the kernel's lock on networks may be held by somebody else for a while."""


_REFUSALS = Path("/proc/sys/net/ipv4/icmp_ratelimit")
UNLIMITED = 0
"""The kernel tells a sender once a second that nobody listens. A resolver that asks twice would wait for five."""


class NetworkFailed(Exception):
    """The kernel did not make it so; the message says what was asked and why not."""


def make_common() -> None:
    """Where the control plane runs: the bridge. Raises NetworkFailed."""
    _told(("ip", "-batch", "-"), network.common())
    _told(("iptables-restore", "--noflush"), network.outward())
    with contextlib.suppress(OSError):  # read-only in some containers: there, a name that is unknown takes seconds
        _REFUSALS.write_text(f"{UNLIMITED}\n")


def make_own(slot: int) -> NetworkNamespace:
    """A workload's namespace with its address and redirect rules, joined to the bridge. Raises NetworkFailed."""
    with contextlib.suppress(NetworkFailed):  # there is one only if whoever made it was killed
        unmake_own(slot)
    space = NetworkNamespace.make()
    text = rules(REDIRECT).replace("$POD_IP", network.host(slot))
    try:
        _told(in_space(space.path, ("ip", "-batch", "-")), network.own(slot, os.getpid()))
        _told(in_space(space.path, ("iptables-restore", "--noflush")), text)
        _told(("ip", "-batch", "-"), network.joined(slot))
    except BaseException:
        space.close()
        raise
    return space


def unmake_own(slot: int) -> None:
    """Take its link away; the rest ends with its last process. The kernel would, but not before it gets round to it.
    Raises NetworkFailed."""
    _told(("ip", "-batch", "-"), network.parted(slot))


def _told(command: tuple[str, ...], words: str) -> None:
    try:
        done = subprocess.run(command, input=words, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NetworkFailed(f"{' '.join(command)}: {error}") from error
    if done.returncode != 0:
        raise NetworkFailed(f"{' '.join(command)}: {done.stderr.strip() or f'status {done.returncode}'}")
