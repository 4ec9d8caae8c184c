"""What an injected pod's parts are called, and the labels and annotations that users and tools know. Pure.

One place, because injection writes them, and whoever tends the Secrets finds pods by them. OSM's own where it has one.
"""

PREFIX = "openservicemesh.io"

INJECTION = f"{PREFIX}/sidecar-injection"
METRICS = f"{PREFIX}/metrics"
NATIVE = f"{PREFIX}/native-sidecar"
MONITORED_BY = f"{PREFIX}/monitored-by"
IGNORE = f"{PREFIX}/ignore"
OUTBOUND_PORTS = f"{PREFIX}/outbound-port-exclusion-list"
INBOUND_PORTS = f"{PREFIX}/inbound-port-exclusion-list"
OUTBOUND_EXCLUDED = f"{PREFIX}/outbound-ip-range-exclusion-list"
OUTBOUND_INCLUDED = f"{PREFIX}/outbound-ip-range-inclusion-list"

PROBES = f"{PREFIX}/probes"
"""The app's probes as they were: from it and the pod's own fields a Secret can be made again at any time."""

MESH = f"{PREFIX}/mesh"
"""Whose sidecar it is: two meshes of one cluster, or OSM itself, use the same labels."""

PROXY_UUID = "osm-proxy-uuid"
POD_SECURITY = "pod-security.kubernetes.io/enforce"

SCRAPE = "prometheus.io/scrape"
SCRAPE_PORT = "prometheus.io/port"
SCRAPE_PATH = "prometheus.io/path"

SIDECAR = "envoy"
INIT = "osm-init"
BOOTSTRAP_VOLUME = "envoy-bootstrap-config-volume"
RUN_VOLUME = "osm-init-run"

SECRET_PREFIX = "envoy-bootstrap-config-"  # noqa: S105  # the beginning of a name
BOOTSTRAP_FILE = "bootstrap.json"
CERTIFICATE_FILE = "certificate.json"
ROOTS_FILE = "roots.json"

BOOTSTRAP_FOLDER = "/etc/envoy"


def secret_name(uuid: str) -> str:
    return SECRET_PREFIX + uuid
