"""What a Service's port speaks, by Kubernetes' and OSM's words for it. Pure.

`appProtocol` counts first, then the prefix of the port's name (`grpc-orders`), else it is HTTP.
"""

from osm.contracts.endpoints import Protocol

_BY_APP_PROTOCOL: dict[str, Protocol] = {
    "http": "http",
    "grpc": "grpc",
    "tcp": "tcp",
    "tcp-server-first": "tcp-server-first",
    "http2": "http",
    "h2c": "http",
    "kubernetes.io/h2c": "http",
    "kubernetes.io/ws": "http",
    "https": "tcp",  # the app's own TLS: a stream of bytes to a sidecar
    "tls": "tcp",
    "kubernetes.io/wss": "tcp",
}
_PREFIXES: tuple[Protocol, ...] = ("tcp-server-first", "http", "tcp", "grpc")

APP_PROTOCOLS = tuple(_BY_APP_PROTOCOL)


def by_app_protocol(app_protocol: str) -> Protocol | None:
    """None for a word that says nothing to us."""
    return _BY_APP_PROTOCOL.get(app_protocol.lower())


def by_port_name(name: str) -> Protocol:
    """What the name's prefix says; http if it says nothing."""
    return next((prefix for prefix in _PREFIXES if name == prefix or name.startswith(f"{prefix}-")), "http")
