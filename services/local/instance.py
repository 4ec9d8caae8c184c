"""One replica on its place of this machine: addresses, ports, programs, and how to see that they are ready. Pure.

Whether it may run at all has been decided before (`plan`); here its manifest becomes what is started.
"""

import difflib
from collections.abc import Iterable, Mapping

from msgspec import Struct

from osm.contracts.endpoints import Explicit, InboundPort, LocalWorkload, Transparent
from osm.contracts.names import Address
from osm.contracts.problem import Problem
from osm.envoy.ports import ADMIN, INBOUND, OUTBOUND, UNREDIRECTED
from osm.isolation import network
from osm.manifests.explicit_ports import ServicePort
from osm.manifests.pods import Container, Probe
from services.local import addresses
from services.local.environment import Environment, Facts, expand, isolated_platform, known_fields, platform, resolve
from services.local.plan_types import Check, Planned, Program
from services.local.replicas import Replicas

HTTP_PROXY_PORT = 15001
"""OSM's number for outbound traffic; here it is the sidecar's HTTP proxy, on the sidecar's address."""


SIDECAR_PORTS = frozenset({ADMIN, OUTBOUND, INBOUND, *UNREDIRECTED})
"""Of a transparent sidecar, which shares its app's address."""


class Machine(Struct, frozen=True, kw_only=True):
    """What the plan must know of the machine. `lowest_port`: below it only root may listen.

    `isolated`: each workload in a network namespace of its own, with redirection; then `block` is of no meaning.
    """

    block: int
    node: str
    lowest_port: int = 1024
    isolated: bool = False

    def app_host(self, slot: int) -> str:
        """Where the app at this place listens."""
        return network.host(slot) if self.isolated else addresses.app_host(self.block, slot)


def instance(
    owner: Replicas, id_: str, machine: Machine, slot: int, upstreams: Mapping[ServicePort, int]
) -> tuple[Planned, list[Problem]]:
    app, sidecar = machine.app_host(slot), addresses.sidecar_host(machine.block, slot)
    facts = Facts(
        name=id_.removesuffix(f".{owner.ref.namespace}"),
        namespace=owner.ref.namespace,
        account=owner.account,
        labels=owner.metadata.labels,
        annotations=owner.metadata.annotations,
        app_host=app,
        node=machine.node,
    )
    proxy = Address(sidecar, HTTP_PROXY_PORT)
    ports, problems = _ports(owner, machine, upstreams)
    if machine.isolated:
        told = isolated_platform(facts, tuple(ports), upstreams)
    else:
        told = platform(facts, proxy, sidecar, tuple(ports), upstreams)
    programs: list[Program] = []
    for index, container in enumerate(owner.spec.containers):
        program, wrong = _program(owner, f"{owner.path}.containers[{index}]", container, told, facts)
        programs.append(program)
        problems += wrong
    document = LocalWorkload(
        id=id_,
        identity=owner.identity,
        labels=tuple(sorted(owner.metadata.labels.items())),
        port_names=tuple(sorted((name, port) for port, name in ports.items() if name)),
        interception=Transparent() if machine.isolated else _explicit(app, proxy, ports),
        host=app if machine.isolated else "",
    )
    made = Planned(
        ref=owner.ref,
        document=document,
        programs=tuple(programs),
        grace_s=float(owner.spec.termination_grace_period_seconds),
    )
    return made, problems


def _explicit(app: str, proxy: Address, ports: Iterable[int]) -> Explicit:
    return Explicit(
        http_proxy=proxy,
        outbound_host=proxy.host,
        inbound=tuple(
            InboundPort(target_port=port, listen=Address(proxy.host, port), app=Address(app, port))
            for port in sorted(ports)
        ),
    )


def _ports(
    owner: Replicas, machine: Machine, upstreams: Mapping[ServicePort, int]
) -> tuple[dict[int, str], list[Problem]]:
    """The workload's ports with their names: its sidecar listens at the same numbers, on its own address."""
    ports: dict[int, str] = {}
    problems: list[Problem] = []
    taken = {} if machine.isolated else {number: port for port, number in upstreams.items()}
    for field, container in _containers(owner):
        for index, port in enumerate(container.ports):
            where, number = f"{field}.ports[{index}].containerPort", port.container_port
            if port.protocol != "TCP":
                continue
            if number in ports:
                problems.append(owner.problem(where, f"port {number} is declared twice in this pod"))
            elif machine.isolated and number in SIDECAR_PORTS:
                problems.append(owner.problem(where, f"{number} is the sidecar's own; choose another port"))
            elif number == HTTP_PROXY_PORT:
                problems.append(owner.problem(where, f"{number} is the sidecar's HTTP proxy; choose another port"))
            elif number in taken:
                namespace, service, of = taken[number]
                what = f"the sidecar offers port {of} of Service {namespace}/{service} at {number}; choose another port"
                problems.append(owner.problem(where, what))
            elif number < machine.lowest_port:
                what = f"found {number}; without root a program may listen from {machine.lowest_port} up"
                problems.append(owner.problem(where, what))
            ports.setdefault(number, port.name)
    return ports, problems


def _containers(owner: Replicas) -> list[tuple[str, Container]]:
    return [(f"{owner.path}.containers[{index}]", each) for index, each in enumerate(owner.spec.containers)]


def _program(
    owner: Replicas, field: str, container: Container, told: Mapping[str, str], facts: Facts
) -> tuple[Program, list[Problem]]:
    environment = resolve(container.env, told, facts)
    problems = [
        owner.problem(
            f"{field}.env[{index}].valueFrom.fieldRef.fieldPath",
            f"found {path}; this platform tells {', '.join(known_fields(facts))}",
        )
        for index, path in environment.unknown
    ]
    problems += [
        _dangling(owner, f"{field}.env[{index}].value", name, environment) for index, name in environment.dangling
    ]
    argv: list[str] = []
    for part, words in (("command", container.command), ("args", container.args)):
        for index, word in enumerate(words):
            text, missing = expand(word, environment.told)
            argv.append(text)
            problems += [_dangling(owner, f"{field}.{part}[{index}]", name, environment) for name in missing]
    check, wrong = _check(owner, field, container, facts.app_host)
    program = Program(
        name=container.name,
        argv=tuple(argv),
        own=tuple(environment.own.items()),
        platform=tuple(environment.platform.items()),
        listens=tuple(
            Address(facts.app_host, each.container_port) for each in container.ports if each.protocol == "TCP"
        ),
        check=check,
        field=field,
    )
    return program, [*problems, *wrong]


def _dangling(owner: Replicas, field: str, name: str, environment: Environment) -> Problem:
    """Kubernetes leaves such a reference as it is, so it is a warning; a misspelt upstream is hard to see otherwise."""
    close = difflib.get_close_matches(name, environment.told, n=1, cutoff=0.8)
    hint = f" (did you mean `$({close[0]})`?)" if close else ""
    return owner.problem(field, f"nothing defines $({name}), so it stays as it is{hint}", "warning")


def _check(owner: Replicas, field: str, container: Container, app: str) -> tuple[Check | None, list[Problem]]:
    """The readiness probe; without one, a connection to the first port; without that, running is ready."""
    probe = container.readiness_probe
    if probe is None or (probe.http_get is None and probe.tcp_socket is None):
        tcp = [each.container_port for each in container.ports if each.protocol == "TCP"]
        return (Check(address=Address(app, tcp[0]), once=True) if tcp else None), []
    asked = probe.http_get or probe.tcp_socket
    assert asked is not None
    kind = "httpGet" if probe.http_get is not None else "tcpSocket"
    named = {each.name: each.container_port for each in container.ports if each.name}
    port = named.get(asked.port) if isinstance(asked.port, str) else asked.port
    if port is None:
        known = f"named are {', '.join(sorted(named))}" if named else "none has a name"
        what = f'this container has no port named "{asked.port}"; {known}'
        return None, [owner.problem(f"{field}.readinessProbe.{kind}.port", what)]
    if probe.http_get is not None and probe.http_get.scheme.upper() != "HTTP":
        what = f"found {probe.http_get.scheme}; a connection is tried instead"
        warning = owner.problem(f"{field}.readinessProbe.httpGet.scheme", what, "warning")
        return _timed(probe, Address(app, port), path=None), [warning]
    return _timed(probe, Address(app, port), path=probe.http_get.path if probe.http_get is not None else None), []


def _timed(probe: Probe, address: Address, path: str | None) -> Check:
    headers = tuple((each.name, each.value) for each in probe.http_get.http_headers) if probe.http_get else ()
    return Check(
        address=address,
        path=path,
        headers=headers if path is not None else (),
        delay_s=float(probe.initial_delay_seconds),
        period_s=float(probe.period_seconds),
        timeout_s=float(probe.timeout_seconds),
        successes=probe.success_threshold,
        failures=probe.failure_threshold,
    )
