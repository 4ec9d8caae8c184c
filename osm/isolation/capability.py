"""Can this machine isolate a mesh, and if not, why? Found out by doing it once, small, in namespaces of its own.

Nothing is guessed from kernel versions or distributions: what was tried either worked, or its failure has a name.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from osm.envoy.redirect import rules
from osm.isolation.namespace_commands import apart
from osm.isolation.network import REDIRECT, host

PROGRAMS = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "iptables-restore": "iptables",
}
"""What is run, and the package that Debian and others have it in."""

WITHIN_S = 5.0
"""It takes some 100 ms."""

ATTEMPT = """
set -e
echo bridge
ip link set lo up
ip link add osm0 type bridge
echo veth
ip link add eth0 type veth peer name osm-0 netns $$
echo redirection
iptables-restore --noflush
echo mount
mount --bind /etc/hosts /etc/hosts
echo namespace
unshare --net true
nsenter --net=/proc/$$/ns/net -- true
echo capability
setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,+net_admin -- true
echo done
"""

_KERNEL = {
    "bridge": "this kernel makes no bridge (CONFIG_BRIDGE)",
    "veth": "this kernel makes no veth pair (CONFIG_VETH)",
    "redirection": "this kernel does not take the redirect rules (nat, REDIRECT, DNAT, mark, multiport)",
    "mount": "a file cannot be mounted over /etc/hosts here",
    "namespace": "no network namespace can be made inside the first",
    "capability": "a program's capabilities cannot be limited here",
}


class Obstacle(Struct, frozen=True, kw_only=True):
    """Why not, and what its user may do about it (empty: nothing that we know of)."""

    what: str
    remedy: str = ""


def path() -> str:
    """Where programs are looked for: users' PATH often lacks the folders of `ip` and `iptables`."""
    return ":".join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))


def obstacle() -> Obstacle | None:
    """What keeps this machine from isolating a mesh; None if nothing does."""
    if sys.platform != "linux":
        return Obstacle(what=f"network namespaces are Linux's; this is {sys.platform}")
    missing = [name for name in PROGRAMS if shutil.which(name, path=path()) is None]
    if missing:
        packages = " ".join(sorted({PROGRAMS[name] for name in missing}))
        return Obstacle(what=f"no program {', '.join(missing)} here", remedy=f"install {packages}")
    command = apart(("sh", "-c", ATTEMPT))
    text = rules(REDIRECT).replace("$POD_IP", host(0))
    try:
        tried = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
            env={**os.environ, "PATH": path()},
        )
    except subprocess.TimeoutExpired:
        return Obstacle(what=f"trying it took more than {WITHIN_S:g} s")
    if tried.returncode == 0:
        return None
    return failed(tried.stdout.split(), tried.stderr.strip(), _limits())


def failed(reached: list[str], said: str, limits: Mapping[str, str]) -> Obstacle:
    """What a failed attempt means: the steps it began, what it said, and the kernel's settings. Pure."""
    why = said.splitlines()[-1] if said else "no reason given"
    if reached:
        return Obstacle(what=f"{_KERNEL[reached[-1]]}: {why}")
    for setting, forbids, allows in _SETTINGS:
        if limits.get(setting) == forbids:
            return Obstacle(
                what=f"user namespaces are forbidden here ({setting} is {forbids})",
                remedy=f"sudo sysctl -w {setting}={allows}",
            )
    return Obstacle(
        what=f"user namespaces are forbidden here ({why})",
        remedy="in a container, allow them to it (docker run --security-opt seccomp=unconfined), or run outside of it",
    )


_SETTINGS = (
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("user.max_user_namespaces", "0", "15000"),
    ("user.max_net_namespaces", "0", "15000"),
)
"""Kernel settings that forbid them: the value that does, and one that does not."""


def _limits() -> dict[str, str]:
    found = {}
    for setting, _, _ in _SETTINGS:
        file = Path("/proc/sys") / setting.replace(".", "/")
        if file.exists():
            found[setting] = file.read_text().strip()
    return found
