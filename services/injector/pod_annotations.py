"""Reads the annotations of a pod: switches, and lists of ports and ranges. Pure.

Apart from the decision, because a wish that cannot be read is told in one way: which annotation of what, what was
found, what is allowed. A pod whose wish was overlooked would run otherwise than its maker believes.
"""

from collections.abc import Mapping
from typing import TypeVar

from osm.contracts import labels
from osm.contracts.policy import Injection
from osm.envoy.redirect import Redirect

T = TypeVar("T")

MOST_QUOTED_CHARS = 60

MOST_DIGITS = 5
"""Of a port; and of thousands Python refuses to make a number."""


class Unreadable(ValueError):
    """An annotation that says nothing we know; the message is the whole sentence. Caught where it is decided."""


def switch(where: str, annotations: Mapping[str, str], key: str) -> bool | None:
    """On, off, or not said. `where` names the object in the sentence. Raises Unreadable."""
    if key not in annotations:
        return None
    wished = labels.switched(annotations[key])
    if wished is not None:
        return wished
    allowed = f"{', '.join(labels.YES)} and {', '.join(labels.NO)}"
    raise Unreadable(f"{where}: annotation {key}: found {_quoted(annotations[key])}, allowed are {allowed}")


def redirect(where: str, annotations: Mapping[str, str], mesh: Injection) -> Redirect:
    """What is redirected: the mesh's lists and the pod's together. Raises Unreadable."""
    outbound = _ports(where, annotations, labels.OUTBOUND_PORTS)
    inbound = _ports(where, annotations, labels.INBOUND_PORTS)
    excluded = _ranges(where, annotations, labels.OUTBOUND_EXCLUDED)
    included = _ranges(where, annotations, labels.OUTBOUND_INCLUDED)
    return Redirect(
        inbound_port_exclusions=_together(mesh.inbound_port_exclusions, inbound),
        outbound_port_exclusions=_together(mesh.outbound_port_exclusions, outbound),
        outbound_ip_exclusions=_together(mesh.outbound_ip_exclusions, excluded),
        outbound_ip_inclusions=_together(mesh.outbound_ip_inclusions, included),
        interface_exclusions=mesh.interface_exclusions,
        pod_ip_mode=mesh.pod_ip_mode,
    )


def _ports(where: str, annotations: Mapping[str, str], key: str) -> tuple[int, ...]:
    found = _items(annotations.get(key, ""))
    for item in found:
        if not (len(item) <= MOST_DIGITS and item.isascii() and item.isdecimal() and 1 <= int(item) <= 65535):
            raise Unreadable(f"{where}: annotation {key}: found {_quoted(item)}, allowed are ports from 1 to 65535")
    return tuple(int(item) for item in found)


def _ranges(where: str, annotations: Mapping[str, str], key: str) -> tuple[str, ...]:
    found = _items(annotations.get(key, ""))
    for item in found:
        try:
            Redirect(outbound_ip_exclusions=(item,))
        except ValueError:
            allowed = "IPv4 addresses and ranges such as 10.0.0.0/8"
            raise Unreadable(f"{where}: annotation {key}: found {_quoted(item)}, allowed are {allowed}") from None
    return found


def _items(text: str) -> tuple[str, ...]:
    """Separated by commas; an empty text holds none."""
    return tuple(item.strip() for item in text.split(",")) if text.strip() else ()


def _quoted(found: str) -> str:
    """What was found, or how it begins: the sentence is also a line of a log, and an annotation has no end yet."""
    return f'"{found}"' if len(found) <= MOST_QUOTED_CHARS else f'"{found[: MOST_QUOTED_CHARS - 1]}…"'


def _together(mesh: tuple[T, ...], pod: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys((*mesh, *pod)))
