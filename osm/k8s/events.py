"""Events: what users read with `kubectl describe` beside their objects.

The same word about the same object is one Event that counts, so that a service that says it again and again does
not fill etcd. Whoever tells decides how often.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Struct

from osm.k8s.client import Cluster
from osm.k8s.errors import Conflict
from osm.k8s.objects import ObjectReference
from osm.k8s.resource import EVENTS

MOST_WORDS: Final = 1024
"""What the API server takes as a message."""

LONGEST_NAME: Final = 200
"""Of the object's name in the Event's, which has at most 253 characters."""

COMPONENT: Final = "osm"


class _Told(Struct, frozen=True):
    count: int = 1


async def tell(
    cluster: Cluster, about: ObjectReference, reason: str, message: str, *, warning: bool, component: str = COMPONENT
) -> None:
    """Say it, or count it once more. `reason` is one word in CamelCase. Raises ApiError."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    event = _event(about, reason, message, now, warning=warning, component=component)
    metadata = event["metadata"]
    try:
        await cluster.create(EVENTS, event)
    except Conflict:
        before = await cluster.get(EVENTS, metadata["name"], metadata["namespace"], as_=_Told)
        again = {"count": before.count + 1, "lastTimestamp": now}
        await cluster.patch(EVENTS, metadata["name"], again, metadata["namespace"])


def _event(
    about: ObjectReference, reason: str, message: str, now: str, *, warning: bool, component: str
) -> dict[str, Any]:
    """Named after what it says; what is left of a name that was cut ends with a letter or digit.

    Events about objects of no namespace stand in `default`, as Kubernetes' own do.
    """
    message = message if len(message) <= MOST_WORDS else message[: MOST_WORDS - 1] + "…"
    said = hashlib.sha256("\0".join((about.kind, about.uid, reason, message)).encode()).hexdigest()[:16]
    return {
        "metadata": {
            "name": f"{about.name[:LONGEST_NAME].rstrip('-.')}.{said}",
            "namespace": about.namespace or "default",
        },
        "involvedObject": msgspec.to_builtins(about),
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "source": {"component": component},
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
        "reportingComponent": component,
        "reportingInstance": component,
    }
