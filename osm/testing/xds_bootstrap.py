"""The bootstrap of an Envoy that takes everything from one plaintext xDS server on this machine, as `xds_server` is.

Apart from `osm.envoy.bootstrap`, which is for sidecars: no identity, no certificates, no mesh.
"""

import json
from pathlib import Path
from typing import Any, Literal

OVER_ADS = {"ads": {}, "resource_api_version": "V3", "initial_fetch_timeout": "0s"}
"""A config source; also for what a test's own resources refer to. Without a timeout a hang is for ever, and so seen."""


def xds_bootstrap(
    port: int,
    *,
    node_id: str = "envoy",
    admin: Path | None = None,
    api_type: Literal["DELTA_GRPC", "GRPC"] = "DELTA_GRPC",
) -> str:
    """JSON. `admin`: where to make the socket of its admin page, if anywhere; `GRPC` is state of the world."""
    source = {
        "api_type": api_type,
        "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds"}}],
    }
    made: dict[str, Any] = {
        "node": {"id": node_id, "cluster": "test"},
        "dynamic_resources": {"ads_config": source, "cds_config": OVER_ADS, "lds_config": OVER_ADS},
        "static_resources": {"clusters": [_xds_cluster(port)]},
    }
    if admin is not None:
        made["admin"] = {"address": {"pipe": {"path": str(admin)}}}
    return json.dumps(made)


def _xds_cluster(port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {
        "name": "xds",
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": "xds",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }
