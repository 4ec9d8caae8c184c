"""The mesh's own network as text: addresses, and what `ip` is told to make it. Pure.

A bridge joins the workloads; its own address is the control plane's. What is sent elsewhere ends on the bridge's
side: connections at the `outbound_relay`, all else is refused there at once, so that nobody waits for a timeout.
"""

from ipaddress import AddressValueError, IPv4Address, IPv4Network

from osm.envoy.redirect import Redirect
from osm.manifests.virtual_ips import NETWORK as SERVICES

WORKLOADS = IPv4Network("10.77.0.0/16")
CONTROL_PLANE = str(WORKLOADS[1])
HOST = "10.79.0.1"
"""Stands for the loopback of the machine itself, which is outside."""
HOST_NAME = "host.osm.internal"
OUT_PORT = 15999
"""Of the way out, on the control plane's address."""
NAMES_PORT = 53
BRIDGE = "osm0"
INTERFACE = "eth0"
"""What a workload calls its end, as a pod does."""

MARK = 0x5DC
"""On the sidecars' sockets (SO_MARK). An unprivileged user namespace has one uid, so it cannot tell them from apps;
the mark can, since only who holds CAP_NET_ADMIN may set it, and no app here does."""

REDIRECT = Redirect(mark=MARK, pod_ip_mode=True)
"""As a pod has it, but that the sidecar is told by its mark. Apps written for the explicit mode listen on their own
address alone, so that is where the sidecar hands over."""

_FIRST = 2
"""After the network's own address and the control plane's."""


def host(slot: int) -> str:
    """The address of the workload at this place."""
    return str(WORKLOADS[slot + _FIRST])


def slot_of(address: str) -> int | None:
    """The place with this address; None if it is of no workload."""
    try:
        found = IPv4Address(address)
    except AddressValueError:
        return None
    slot = int(found) - int(WORKLOADS.network_address) - _FIRST
    return slot if slot >= 0 and found in WORKLOADS else None


def common() -> str:
    """For `ip -batch`, once: the side where the control plane runs."""
    return _lines(
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {CONTROL_PLANE}/{WORKLOADS.prefixlen} dev {BRIDGE}",
        f"link set {BRIDGE} up",
        # Where the world would begin: every address is taken for this side's own, and nobody listens there.
        "route add local default dev lo table main",
    )


def outward() -> str:
    """For `iptables-restore`, on the control plane's side: connections to elsewhere end at the way out."""
    here = (f"-A PREROUTING -i {BRIDGE} -d {network} -j RETURN" for network in (WORKLOADS, SERVICES))
    out = f"-A PREROUTING -i {BRIDGE} -p tcp -j REDIRECT --to-ports {OUT_PORT}"
    return _lines("*nat", *here, out, "COMMIT")


def own(slot: int, common_pid: int) -> str:
    """For `ip -batch` inside a workload's namespace; `common_pid` is a process on the control plane's side."""
    return _lines(
        "link set lo up",
        f"link add {INTERFACE} type veth peer name {_peer(slot)} netns {common_pid}",
        f"link set {INTERFACE} addrgenmode none",  # no IPv6, which is not redirected
        f"addr add {host(slot)}/{WORKLOADS.prefixlen} dev {INTERFACE}",
        f"link set {INTERFACE} up",
        f"route add default via {CONTROL_PLANE}",
    )


def joined(slot: int) -> str:
    """For `ip -batch` on the control plane's side, after `own`."""
    return _lines(f"link set {_peer(slot)} addrgenmode none", f"link set {_peer(slot)} master {BRIDGE} up")


def parted(slot: int) -> str:
    """The opposite of `joined`, and of the link itself."""
    return _lines(f"link del {_peer(slot)}")


def _peer(slot: int) -> str:
    return f"osm-{slot}"


def _lines(*commands: str) -> str:
    return "".join(f"{command}\n" for command in commands)
