"""Whether sidecars run, are connected, and have what they should; and what users' objects say wrong. Pure."""

from collections.abc import Iterator

from osm.cli.kubernetes.checks.facts import After
from osm.cli.kubernetes.checks.line import Line, error, ok, warning
from osm.cli.kubernetes.kubernetes_objects import Pod
from osm.cli.kubernetes.pod_names import by_proxy_id
from osm.cli.kubernetes.pod_problems import of_pod
from osm.contracts import labels
from osm.contracts.endpoints import workload_id
from osm.contracts.status import ProxyStatus

PROXIES, POLICIES = "sidecars", "policies"

LAG_S = 10.0
"""A sidecar that has not acknowledged for so long is behind, not busy."""


def proxies(facts: After) -> Iterator[Line]:
    if facts.bus.why:
        return
    connected = {each.proxy_id: each for each in facts.bus.proxies}
    meshed = sorted((pod for pod in facts.pods if pod.meshed and not pod.over), key=lambda pod: pod.id)
    lines = [line for pod in meshed if (line := _sidecar(facts, pod, connected.get(_proxy_id(pod)))) is not None]
    yield from lines
    names = by_proxy_id(facts.pods)
    for each in facts.bus.proxies:
        if each.proxy_id not in names:
            what = f"proxy {each.proxy_id} ({each.identity}) is connected, and there is no such pod"
            yield warning(PROXIES, what, "it goes within a minute if the pod was just deleted")
    if meshed and not lines:
        yield ok(PROXIES, f"all {len(meshed)} sidecars are connected and in sync")


def _proxy_id(pod: Pod) -> str:
    return workload_id(pod.metadata.namespace, pod.metadata.labels[labels.PROXY_UUID])


def _sidecar(facts: After, pod: Pod, proxy: ProxyStatus | None) -> Line | None:
    logs = f"kubectl logs -n {pod.metadata.namespace} {pod.metadata.name} -c envoy"
    if proxy is None:
        trouble = of_pod(pod)
        why = f": {trouble.why}" if trouble is not None else ""
        return error(PROXIES, f"pod {pod.id}: its sidecar is not connected{why}", logs)
    if proxy.state == "rejected":
        reasons = "; ".join(f"{', '.join(each.resources)}: {each.reason}" for each in proxy.rejections)
        return error(PROXIES, f"pod {pod.id}: Envoy rejected {reasons or 'something'}", "osm status names the objects")
    if proxy.state == "held":
        return error(
            PROXIES, f"pod {pod.id}: its sidecar gets no configuration: {proxy.why or 'it is held'}", "osm bus check"
        )
    behind_s = facts.now_s - proxy.behind_since_s if proxy.behind_since_s is not None else 0.0
    if proxy.state == "waiting" and behind_s > LAG_S:
        return warning(PROXIES, f"pod {pod.id}: its sidecar has been behind for {behind_s:.0f} s", logs)
    return None


def policies(facts: After) -> Iterator[Line]:
    if facts.bus.why:
        return
    for problem in facts.bus.problems:
        judged = error if problem.severity == "error" else warning
        yield judged(
            POLICIES, str(problem), "correct the object and apply it again; osm wait tells when it is in force"
        )
    if not facts.bus.problems:
        yield ok(POLICIES, "nothing is wrong in what the mesh has read")
