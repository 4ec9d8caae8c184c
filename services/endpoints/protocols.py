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


def not_carried(transport: str) -> str:
    """Why a port of this transport (`protocol` of a Service's port) is left out: a sentence, empty if it is not."""
    return "" if transport == "TCP" else f"found {transport}; the mesh carries TCP only, so this port is left out"


def spoken(*, name: str, app_protocol: str | None) -> tuple[Protocol, str]:
    """What the port speaks, and what is wrong with its `appProtocol`: a sentence, empty if nothing is."""
    if app_protocol is None:
        return _by_name(name), ""
    protocol = _BY_APP_PROTOCOL.get(app_protocol.lower())
    if protocol is None:
        return "http", f'found "{app_protocol}", taken as http; allowed are {", ".join(_BY_APP_PROTOCOL)}'
    return protocol, ""


def _by_name(name: str) -> Protocol:
    """What the name's prefix says; http if it says nothing."""
    return next((prefix for prefix in _PREFIXES if name == prefix or name.startswith(f"{prefix}-")), "http")
