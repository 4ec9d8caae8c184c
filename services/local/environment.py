"""What a program finds in its environment, as it would in a pod. Pure.

Three layers, later ones win: what any program needs of the machine (PATH, HOME, language), what the platform tells
(the proxy, where to listen, where upstreams are offered), what the manifest says. Nothing else of the
agent's own environment reaches a workload: it would work here and fail elsewhere.
"""

import re
from collections.abc import Mapping

from msgspec import Struct

from osm.contracts.names import Address
from osm.manifests.explicit_ports import ServicePort, variable
from osm.manifests.pods import EnvVar

_INHERITED = ("HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER")
EVERYWHERE = "0.0.0.0"  # noqa: S104  # of a network namespace of its own

_REFERENCE = re.compile(r"\$(?:(?P<dollar>\$)|\((?P<name>[^)]*)\))")
_SUBSCRIPT = re.compile(r"^metadata\.(?P<what>labels|annotations)\['(?P<key>[^']+)'\]$")


class Facts(Struct, frozen=True, kw_only=True):
    """What the downward API can tell about a pod."""

    name: str
    namespace: str
    account: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    app_host: str
    node: str


class Environment(Struct, frozen=True, kw_only=True):
    """`platform` is told to every program; `own` is what the manifest says, resolved.

    `unknown` are fieldRefs (index of the variable, path) that this platform cannot tell; `dangling` are references
    to variables that nothing defines.
    """

    platform: Mapping[str, str]
    own: Mapping[str, str]
    unknown: tuple[tuple[int, str], ...] = ()
    dangling: tuple[tuple[int, str], ...] = ()

    @property
    def told(self) -> dict[str, str]:
        """All that `$(NAME)` may refer to in command and args."""
        return {**self.platform, **self.own}


def inherited(machine: Mapping[str, str], python_folder: str) -> dict[str, str]:
    """The agent's variables that any program needs; `python3` is the interpreter that runs the mesh."""
    found = {name: value for name, value in sorted(machine.items()) if name in _INHERITED or name.startswith("LC_")}
    found["PATH"] = f"{python_folder}:{found.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    return found


def platform(
    facts: Facts, http_proxy: Address, outbound_host: str, ports: tuple[int, ...], upstreams: Mapping[ServicePort, int]
) -> dict[str, str]:
    """What this platform tells every program."""
    proxy, direct = f"http://{http_proxy}", f"localhost,127.0.0.1,{facts.app_host}"
    told = {
        "HTTP_PROXY": proxy,
        "http_proxy": proxy,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "HOSTNAME": facts.name,
        "OSM_BIND_HOST": facts.app_host,
    }
    told.update({f"OSM_BIND_PORT_{port}": str(port) for port in ports})
    told.update({variable(port): f"{outbound_host}:{number}" for port, number in sorted(upstreams.items())})
    return told


def isolated_platform(facts: Facts, ports: tuple[int, ...], upstreams: Mapping[ServicePort, int]) -> dict[str, str]:
    """The same where traffic is redirected: no proxy, and what is offered elsewhere is the Service itself."""
    told = {"HOSTNAME": facts.name, "OSM_BIND_HOST": EVERYWHERE}
    told.update({f"OSM_BIND_PORT_{port}": str(port) for port in ports})
    for port in sorted(upstreams):
        namespace, service, number = port
        told[variable(port)] = f"{service}.{namespace}.svc.cluster.local:{number}"
    return told


def resolve(variables: tuple[EnvVar, ...], told: Mapping[str, str], facts: Facts) -> Environment:
    """The manifest's variables; each may refer to what the platform tells and to those before it."""
    own: dict[str, str] = {}
    unknown: list[tuple[int, str]] = []
    dangling: list[tuple[int, str]] = []
    for index, each in enumerate(variables):
        source = each.value_from
        if source is None:
            value, missing = expand(each.value or "", {**told, **own})
            own[each.name] = value
            dangling += [(index, name) for name in missing]
        elif source.field_ref is not None:
            found = downward(source.field_ref.field_path, facts)
            if found is None:
                unknown.append((index, source.field_ref.field_path))
            own[each.name] = found or ""
    return Environment(platform=told, own=own, unknown=tuple(unknown), dangling=tuple(dangling))


def expand(text: str, values: Mapping[str, str]) -> tuple[str, list[str]]:
    """The text with `$(NAME)` replaced as Kubernetes does, and the names nothing defines, which stay as they are."""
    missing: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        if found["name"] in values:
            return values[found["name"]]
        missing.append(found["name"])
        return found[0]

    return _REFERENCE.sub(replaced, text), missing


def downward(path: str, facts: Facts) -> str | None:
    """A field of the pod (Kubernetes' downward API); None for one that this platform cannot tell."""
    subscript = _SUBSCRIPT.match(path)
    if subscript is not None:
        return (facts.labels if subscript["what"] == "labels" else facts.annotations).get(subscript["key"], "")
    return _fields(facts).get(path)


def known_fields(facts: Facts) -> list[str]:
    return [*_fields(facts), "metadata.labels['…']", "metadata.annotations['…']"]


def _fields(facts: Facts) -> dict[str, str]:
    return {
        "metadata.name": facts.name,
        "metadata.namespace": facts.namespace,
        "metadata.uid": f"{facts.name}.{facts.namespace}",
        "spec.nodeName": facts.node,
        "spec.serviceAccountName": facts.account,
        "status.hostIP": "127.0.0.1",
        "status.hostIPs": "127.0.0.1",
        "status.podIP": facts.app_host,
        "status.podIPs": facts.app_host,
    }
