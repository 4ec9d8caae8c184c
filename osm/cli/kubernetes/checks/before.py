"""Whether a mesh can be installed: what is missing, what is forbidden, what is in the way. Pure."""

from collections.abc import Iterator

from osm.cli.kubernetes.checks.facts import Before, Tool
from osm.cli.kubernetes.checks.line import Line, error, ok, warning
from osm.cli.kubernetes.definitions import judge
from osm.cli.kubernetes.meshes import in_the_way

CLUSTER, MESHES, KINDS = "cluster", "other meshes", "kinds"

OLDEST = (1, 25)
"""The chart's: older servers have no `policy/v1` beside what else it needs."""

OTHER_INJECTORS = {"istio": "Istio", "linkerd": "Linkerd", "consul": "Consul", "kuma": "Kuma"}
"""What the names of other meshes' webhooks begin with."""


def before(facts: Before) -> Iterator[Line]:
    """All lines of `osm check --pre`."""
    for check in (server, tools, permissions, other_meshes, other_injectors, definitions):
        yield from check(facts)


def server(facts: Before) -> Iterator[Line]:
    found, oldest = _dotted(facts.version), _dotted(OLDEST)
    if facts.version < OLDEST:
        yield error(CLUSTER, f"Kubernetes is {found}, the oldest that works is {oldest}", "upgrade the cluster")
    else:
        yield ok(CLUSTER, f"Kubernetes is {found}")


def tools(facts: Before) -> Iterator[Line]:
    yield from map(_found, facts.tools)


def _found(tool: Tool) -> Line:
    if not tool.is_there:
        return error(CLUSTER, f"{tool.name} is not on the PATH: {tool.needed}", tool.remedy)
    if not tool.oldest:
        return ok(CLUSTER, f"{tool.name} is on the PATH")
    oldest = _dotted(tool.oldest)
    if not tool.version:
        return ok(CLUSTER, f"{tool.name} does not say its version; {oldest} or newer is needed")
    if tool.version < tool.oldest:
        what = f"{tool.name} is {_dotted(tool.version)}, the oldest that works is {oldest}"
        return error(CLUSTER, what, tool.remedy)
    return ok(CLUSTER, f"{tool.name} is {_dotted(tool.version)}")


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def permissions(facts: Before) -> Iterator[Line]:
    denied = [each for each in facts.permissions if not each.allowed]
    for each in denied:
        remedy = "ask an administrator of the cluster, or for the role cluster-admin"
        yield error(CLUSTER, f"you may not {each.verb} {each.what}", remedy)
    if not denied:
        yield ok(CLUSTER, "you have the permissions to install")


def other_meshes(facts: Before) -> Iterator[Line]:
    why = in_the_way(facts.meshes, facts.name, facts.namespace, alone=True)
    if why:
        yield error(MESHES, why, "osm mesh list; osm uninstall mesh, or another --mesh-name and --osm-namespace")
    else:
        yield ok(MESHES, "no mesh of OSM is in the way")


def other_injectors(facts: Before) -> Iterator[Line]:
    for configuration in facts.mutating:
        for beginning, product in OTHER_INJECTORS.items():
            if configuration.metadata.name.startswith(beginning):
                what = f"{product} injects sidecars too ({configuration.metadata.name}): a pod must be in one mesh only"
                yield warning(MESHES, what, "osm namespace add only where the other mesh is off")


def definitions(facts: Before) -> Iterator[Line]:
    found = {each.metadata.name: each for each in facts.definitions}
    verdicts = [judge(found.get(each.metadata.name), each) for each in facts.wanted]
    for verdict in (each for each in verdicts if each.what):
        match verdict.step:
            case "refuse":
                yield error(KINDS, verdict.what, verdict.remedy)
            case "leave":
                yield warning(KINDS, verdict.what, verdict.remedy)
            case _:
                yield ok(KINDS, f"{verdict.what}: osm install brings it up to date, and its objects stay")
    if not any(verdict.what for verdict in verdicts):
        yield ok(KINDS, "no CRD is in the way")
