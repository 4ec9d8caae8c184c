"""The labels, annotations and names by which a mesh is known in a cluster, and how their words are read. Pure.

One place, because chart, injector, endpoints and CLI meet on these words alone. They are OSM's wherever it has one, so
that what is in a cluster goes on. What an object of ours says to its own writer alone stands beside that writer.
"""

from collections.abc import Mapping

OSM = "openservicemesh.io"
"""The domain of our own keys, and the value of `APP_NAME` on whatever a mesh has made."""

MONITORED_BY = f"{OSM}/monitored-by"
"""On a namespace: the name of the mesh it is in."""

IGNORE = f"{OSM}/ignore"
"""On a namespace: every mesh leaves it alone, whatever else it says; any value counts."""

INJECTION = f"{OSM}/sidecar-injection"
"""On a namespace or pod: whether new pods get a sidecar, in the words of `YES` and `NO`."""

NATIVE_SIDECAR = f"{OSM}/native-sidecar"
"""On a pod: whether its Envoy is an init container that restarts, in the words of `YES` and `NO`."""

METRICS = f"{OSM}/metrics"
"""On a namespace: whether sidecars are scraped."""

OUTBOUND_PORTS = f"{OSM}/outbound-port-exclusion-list"
INBOUND_PORTS = f"{OSM}/inbound-port-exclusion-list"
OUTBOUND_EXCLUDED = f"{OSM}/outbound-ip-range-exclusion-list"
OUTBOUND_INCLUDED = f"{OSM}/outbound-ip-range-inclusion-list"

PROXY_UUID = "osm-proxy-uuid"
"""On a pod: it has a sidecar, and this is its proxy's id. On a Secret: the sidecar that starts from it."""

INGRESS_GATEWAY = f"{OSM}/ingress-gateway"
"""On a Secret: it is the ingress gateway's certificate, and the injector's to write; any value counts."""

APP_NAME = "app.kubernetes.io/name"
INSTANCE = "app.kubernetes.io/instance"
"""On whatever a mesh has made: the mesh's name."""

VERSION = "app.kubernetes.io/version"

OF_OSM = f"{APP_NAME}={OSM}"
"""A selector for everything that a mesh has made."""

SCRAPE = "prometheus.io/scrape"
SCRAPE_PORT = "prometheus.io/port"
SCRAPE_PATH = "prometheus.io/path"

CONTROL_PLANE = "control-plane"
"""On a namespace: Kubernetes' convention for one that webhooks leave alone."""

POD_SECURITY = "pod-security.kubernetes.io/enforce"

TOO_STRICT = ("baseline", "restricted")
"""Levels of Pod Security that forbid osm-init's NET_ADMIN (Pod Security Standards, "Capabilities")."""

BOOTSTRAP_PREFIX = "envoy-bootstrap-config-"
"""The beginning of the name of a sidecar's Secret; the proxy's id follows."""

YES = ("enabled", "yes", "true")
NO = ("disabled", "no", "false")


def injection_webhook(mesh: str) -> str:
    return f"osm-webhook-{mesh}"


def validating_webhook(mesh: str) -> str:
    return f"osm-validator-mesh-{mesh}"


def monitored(labels: Mapping[str, str], mesh: str) -> bool:
    """Whether a namespace with these labels is in the mesh."""
    return labels.get(MONITORED_BY) == mesh and IGNORE not in labels


def switched(said: str) -> bool | None:
    """On, off, or none of the words that are allowed."""
    word = said.strip().lower()
    return True if word in YES else False if word in NO else None
