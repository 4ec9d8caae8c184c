"""SMI policies of these tests, as values."""

from tests.cluster.conformance.workloads import CLIENT, SERVER, Object

WEB = {"kind": "HTTPRouteGroup", "name": "all-requests"}
STREAMS = {"kind": "TCPRoute", "name": "all-connections"}
CLIENTS = (f"{CLIENT}/client", f"{CLIENT}/alone")


def routes() -> tuple[Object, ...]:
    """All that can be asked, and as a match of its own what is under `/open`."""
    specs = "specs.smi-spec.io/v1alpha4"
    matches = [{"name": "all", "pathRegex": ".*", "methods": ["*"]}, {"name": "open", "pathRegex": "/open"}]
    return (
        {
            "apiVersion": specs,
            "kind": "HTTPRouteGroup",
            "metadata": {"name": WEB["name"]},
            "spec": {"matches": matches},
        },
        {"apiVersion": specs, "kind": "TCPRoute", "metadata": {"name": STREAMS["name"]}, "spec": {"matches": {}}},
    )


def target(
    account: str, *, namespace: str = SERVER, of: str = SERVER, sources: tuple[str, ...] = CLIENTS, match: str = ""
) -> Object:
    """A TrafficTarget in `namespace` that lets the sources, `NAMESPACE/ACCOUNT`, call an account of `of`."""
    requests = {**WEB, "matches": [match]} if match else WEB
    return {
        "apiVersion": "access.smi-spec.io/v1alpha3",
        "kind": "TrafficTarget",
        "metadata": {"name": f"to-{account}", "namespace": namespace},
        "spec": {
            "destination": _account(f"{of}/{account}"),
            "sources": [_account(source) for source in sources],
            "rules": [requests] if match else [requests, STREAMS],
        },
    }


def split(root: str, *backends: str) -> Object:
    """In equal shares."""
    shares = [{"service": backend, "weight": 20} for backend in backends]
    return {
        "apiVersion": "split.smi-spec.io/v1alpha2",
        "kind": "TrafficSplit",
        "metadata": {"name": root},
        "spec": {"service": f"{root}.{SERVER}.svc.cluster.local", "backends": shares},
    }


def ingress(backend: str, port: int, *sources: Object, tls: Object | None = None) -> Object:
    """Over https if anything is said of TLS, an empty mapping included."""
    opened: Object = {"name": backend, "port": {"number": port, "protocol": "http" if tls is None else "https"}}
    return {
        "apiVersion": "policy.openservicemesh.io/v1alpha1",
        "kind": "IngressBackend",
        "metadata": {"name": backend},
        "spec": {
            "backends": [opened if tls is None else {**opened, "tls": tls}],
            "sources": list(sources),
        },
    }


def egress(
    protocol: str, port: int, *, hosts: tuple[str, ...] = (), ranges: tuple[str, ...] = (), group: str = ""
) -> Object:
    """Lets the pod `alone` out."""
    matches = [{"apiGroup": "specs.smi-spec.io/v1alpha4", "kind": "HTTPRouteGroup", "name": group}] if group else []
    return {
        "apiVersion": "policy.openservicemesh.io/v1alpha1",
        "kind": "Egress",
        "metadata": {"name": "out"},
        "spec": {
            "sources": [_account(f"{CLIENT}/alone")],
            "hosts": list(hosts),
            "ipAddresses": list(ranges),
            "ports": [{"number": port, "protocol": protocol}],
            "matches": matches,
        },
    }


def opening(name: str) -> Object:
    """A route group of what is under `/open`."""
    return {
        "apiVersion": "specs.smi-spec.io/v1alpha4",
        "kind": "HTTPRouteGroup",
        "metadata": {"name": name},
        "spec": {"matches": [{"name": "open", "pathRegex": "/open"}]},
    }


def retry(source: str, destination: str, **terms: object) -> Object:
    """In the source's namespace; both are `NAMESPACE/NAME`."""
    namespace, name = destination.split("/")
    return {
        "apiVersion": "policy.openservicemesh.io/v1alpha1",
        "kind": "Retry",
        "metadata": {"name": f"to-{name}"},
        "spec": {
            "source": _account(source),
            "destinations": [{"kind": "Service", "name": name, "namespace": namespace}],
            "retryPolicy": terms,
        },
    }


def setting(service: str, **said: object) -> Object:
    """An UpstreamTrafficSetting for a service of the server's namespace."""
    return {
        "apiVersion": "policy.openservicemesh.io/v1alpha1",
        "kind": "UpstreamTrafficSetting",
        "metadata": {"name": service},
        "spec": {"host": f"{service}.{SERVER}.svc.cluster.local", **said},
    }


def _account(where: str) -> Object:
    namespace, name = where.split("/")
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
