"""The labels, annotations and names by which a mesh is known in a cluster: OSM's, so that what is there goes on.

A constant each, since chart, injector and CLI meet on these words alone.
"""

MONITORED_BY = "openservicemesh.io/monitored-by"
"""On a namespace: the mesh it belongs to."""

IGNORE = "openservicemesh.io/ignore"
"""On a namespace: no mesh looks at it."""

CONTROL_PLANE = "control-plane"
"""On a namespace: Kubernetes' convention for one that webhooks leave alone."""

INJECTION = "openservicemesh.io/sidecar-injection"
"""On a namespace or pod: whether new pods get a sidecar."""

METRICS = "openservicemesh.io/metrics"
"""On a namespace: whether sidecars are scraped."""

PROXY_UUID = "osm-proxy-uuid"
"""On a pod: it has a sidecar."""

APP_NAME = "app.kubernetes.io/name"
OSM = "openservicemesh.io"
INSTANCE = "app.kubernetes.io/instance"
VERSION = "app.kubernetes.io/version"
OF_OSM = f"{APP_NAME}={OSM}"
"""A selector for everything that a mesh has made."""

SCRAPE = "prometheus.io/scrape"
SCRAPE_PORT = "prometheus.io/port"
SCRAPE_PATH = "prometheus.io/path"

BOOTSTRAP_PREFIX = "envoy-bootstrap-config-"

YES = frozenset({"enabled", "yes", "true"})
NO = frozenset({"disabled", "no", "false"})


def injection_webhook(mesh: str) -> str:
    return f"osm-webhook-{mesh}"


def validating_webhook(mesh: str) -> str:
    return f"osm-validator-mesh-{mesh}"
