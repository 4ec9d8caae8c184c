"""What an injected pod's parts are called, and what we write into it for ourselves. Pure.

One place, because injection writes them, and whoever tends the Secrets finds pods by them; what users and other tools
know is in `osm.contracts.labels`.
"""

from osm.contracts.labels import BOOTSTRAP_PREFIX, OSM

PROBES = f"{OSM}/probes"
"""The app's probes as they were: from it and the pod's own fields a Secret can be made again at any time."""

MESH = f"{OSM}/mesh"
"""Whose sidecar it is: two meshes of one cluster, or OSM itself, use the same labels."""

SIDECAR = "envoy"
INIT = "osm-init"
BOOTSTRAP_VOLUME = "envoy-bootstrap-config-volume"
RUN_VOLUME = "osm-init-run"

BOOTSTRAP_FILE = "bootstrap.json"
CERTIFICATE_FILE = "certificate.json"
ROOTS_FILE = "roots.json"

BOOTSTRAP_FOLDER = "/etc/envoy"


def secret_name(uuid: str) -> str:
    return BOOTSTRAP_PREFIX + uuid
