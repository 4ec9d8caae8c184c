"""The kernel's part of transparent interception: which TCP connections of a network namespace go to its sidecar.

Apart from whoever applies the rules, since pods (an init container) and isolated processes get the very same ones.
Text in, text out: it runs nothing. TCP over IPv4 only; UDP, and with it DNS, is left alone.

    in    arriving from outside          -> 15003, but what kubelet and Prometheus reach in the clear
    out   sent by the app                -> 15001, but to its own loopback and what is excluded
          sent by the sidecar            -> as it is, but to the pod's own address -> 15003: the app calling itself
"""

import re
from collections.abc import Iterable, Iterator
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError

from msgspec import Struct

from osm.envoy.ports import ADMIN, INBOUND, OUTBOUND, PROXY_UID, UNREDIRECTED

PORTS_A_RULE = 15
"""What the match `multiport` takes (iptables-extensions(8))."""

LONGEST_INTERFACE = 15
"""IFNAMSIZ of linux/if.h, less its closing zero."""

_INTERFACE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.@-]{{0,{LONGEST_INTERFACE - 1}}}\+?")
_LOOPBACK = "127.0.0.1/32"


class Redirect(Struct, frozen=True, kw_only=True):
    """What is to be redirected. Raises ValueError on what is no port, no IPv4 range or no interface name.

    It must refuse: the rules pass through a shell, and some of this was written by whoever annotates a pod.
    """

    uid: int = PROXY_UID
    """Whose traffic is the sidecar's own."""
    mark: int | None = None
    """Where the sidecar cannot have a uid of its own, the mark (SO_MARK) that it puts on its sockets instead."""
    inbound_port_exclusions: tuple[int, ...] = ()
    outbound_port_exclusions: tuple[int, ...] = ()
    outbound_ip_exclusions: tuple[str, ...] = ()
    """IPv4 addresses or ranges (CIDR)."""
    outbound_ip_inclusions: tuple[str, ...] = ()
    """If there are any, traffic to nowhere else is redirected."""
    interface_exclusions: tuple[str, ...] = ()
    pod_ip_mode: bool = False
    """Apps listen on the pod's address, not on 127.0.0.1: what the sidecar sends there goes to $POD_IP, which whoever
    applies the rules must fill in."""

    def __post_init__(self) -> None:
        for field in ("inbound_port_exclusions", "outbound_port_exclusions"):
            for port in getattr(self, field):
                if not 1 <= port <= 65535:
                    raise ValueError(f"{field}: found {port}, allowed are 1 to 65535")
        for field in ("outbound_ip_exclusions", "outbound_ip_inclusions"):
            for given in getattr(self, field):
                _network(field, given)
        for name in self.interface_exclusions:
            if not _INTERFACE.fullmatch(name):
                raise ValueError(f"interface_exclusions: found {name!r}, allowed are names such as eth0 or eth+")


def rules(redirect: Redirect) -> str:
    """What `iptables-restore --noflush` takes: the table `nat`. Applied twice it redirects as if applied once."""
    lines = (*_declared(), *_inbound(redirect), *_outbound(redirect))
    return "\n".join(("*nat", *lines, "COMMIT", ""))


def _declared() -> Iterator[str]:
    for chain in ("OSM_PROXY_INBOUND", "OSM_PROXY_IN_REDIRECT", "OSM_PROXY_OUTBOUND", "OSM_PROXY_OUT_REDIRECT"):
        yield f":{chain} - [0:0]"
    yield f"-A OSM_PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-ports {INBOUND}"
    yield f"-A OSM_PROXY_OUT_REDIRECT -p tcp -j REDIRECT --to-ports {OUTBOUND}"


def _inbound(redirect: Redirect) -> Iterator[str]:
    chain = "-A OSM_PROXY_INBOUND"
    yield "-A PREROUTING -p tcp -j OSM_PROXY_INBOUND"
    yield from (f"{chain} -i {name} -j RETURN" for name in sorted(set(redirect.interface_exclusions)))
    yield from (f"{chain} {ports} -j RETURN" for ports in _ports((*UNREDIRECTED, *redirect.inbound_port_exclusions)))
    yield f"{chain} -j OSM_PROXY_IN_REDIRECT"


def _outbound(redirect: Redirect) -> Iterator[str]:
    """Loopback comes first: nothing that an exclusion says may send the sidecar's own traffic back to it."""
    chain, ours, others = "-A OSM_PROXY_OUTBOUND", _of_proxy(redirect), _of_proxy(redirect, negated=True)
    if redirect.pod_ip_mode:
        apps = f"-m tcp ! --dport {ADMIN} {ours}"  # its own admin interface is on loopback all the same
        yield f"-A OUTPUT -p tcp -o lo -d {_LOOPBACK} {apps} -j DNAT --to-destination $POD_IP"
    yield "-A OUTPUT -p tcp -j OSM_PROXY_OUTBOUND"
    yield f"{chain} -o lo ! -d {_LOOPBACK} {ours} -j OSM_PROXY_IN_REDIRECT"
    yield f"{chain} -o lo {others} -j RETURN"
    yield f"{chain} {ours} -j RETURN"
    yield f"{chain} -d {_LOOPBACK} -j RETURN"
    yield from (f"{chain} -o {name} -j RETURN" for name in sorted(set(redirect.interface_exclusions)))
    yield from (f"{chain} -d {each} -j RETURN" for each in _networks(redirect.outbound_ip_exclusions))
    yield from (f"{chain} {ports} -j RETURN" for ports in _ports(redirect.outbound_port_exclusions))
    only = _networks(redirect.outbound_ip_inclusions)
    yield from (f"{chain} -d {each} -j OSM_PROXY_OUT_REDIRECT" for each in only)
    yield f"{chain} -j RETURN" if only else f"{chain} -j OSM_PROXY_OUT_REDIRECT"


def _of_proxy(redirect: Redirect, *, negated: bool = False) -> str:
    negation = "! " if negated else ""
    if redirect.mark is not None:
        return f"-m mark {negation}--mark {redirect.mark:#x}"
    return f"-m owner {negation}--uid-owner {redirect.uid}"


def _ports(ports: Iterable[int]) -> Iterator[str]:
    wanted = sorted(set(ports))
    for start in range(0, len(wanted), PORTS_A_RULE):
        some = ",".join(map(str, wanted[start : start + PORTS_A_RULE]))
        yield f"-p tcp -m multiport --dports {some}"


def _networks(given: tuple[str, ...]) -> list[str]:
    return [str(network) for network in sorted({_network("", each) for each in given})]


def _network(field: str, given: str) -> IPv4Network:
    try:
        return IPv4Network(given, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise ValueError(
            f"{field}: found {given!r}, allowed are IPv4 addresses and ranges such as 10.0.0.0/8"
        ) from error
