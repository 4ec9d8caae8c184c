"""Whether the two sidecars have what the call needs. Pure.

The names are those that `services.xds.translate` gives: `<namespace>/<service>|<port>`, `outbound.…`, `inbound.…`.
"""

from collections.abc import Iterator

from osm.cli.kubernetes.verify.config_dump import Believed
from osm.cli.kubernetes.verify.facts import Called, End, World
from osm.cli.kubernetes.verify.result import Result, failed, unknown, whole

OUTBOUND, INBOUND = "outbound", "inbound"
WAIT = "osm proxy list shows whether the sidecar is in sync; osm check says what keeps it"


def client(source: End, destination: End, called: Called) -> Result:
    context = f'Verify Envoy configuration on source pod "{source.name}"'
    if source.why:
        return unknown(context, source.why, WAIT)
    steps = [_listener(source.believed, OUTBOUND), _secrets(source)]
    return whole(context, iter((*steps, *_towards(source.believed, destination, called))))


def _listener(found: Believed, name: str) -> Result:
    context = f"Verify if the {name} listener is active"
    error = next((details for each, details in found.errors if each == name), "")
    if error:
        return failed(context, f"Envoy refused its newest form: {error}", "osm status names the object it came from")
    if found.listener(name) is None:
        nothing = "nothing may be called" if name == OUTBOUND else "nothing may come in"
        return failed(context, f"There is none: by the policies in force {nothing}", WAIT)
    return Result(context=context)


def _secrets(end: End) -> Result:
    context = f'Verify if the certificates of "{end.identity}" are there'
    if "service-cert" not in end.believed.secrets:
        return failed(context, "Envoy has no secret service-cert", "kubectl logs of osm-certmgr and osm-xds say why")
    if not any(name.startswith("trust-bundle:") for name in end.believed.secrets):
        return failed(context, "Envoy has no trust bundle", "kubectl logs of osm-certmgr say why")
    return Result(context=context)


def _towards(found: Believed, destination: End, called: Called) -> Iterator[Result]:
    """Each port of the service that the source has, and whether the pod is behind one of them."""
    ports = [port.port for port in called.found.spec.ports if port.protocol == "TCP"] if called.found else []
    clusters = {f"{called}|{port}": port for port in ports}
    here = sorted(name for name in clusters if name in found.clusters)
    context = f'Verify if the source has a cluster for service "{called}"'
    if not here:
        warming = sorted(name for name in clusters if name in found.warming)
        why = f"its cluster {warming[0]} waits for endpoints" if warming else "it has none: it may not call the service"
        yield failed(context, why, "osm policy check-pods says whether a policy allows it")
        return
    yield Result(context=context)
    yield _chain(found, called, [clusters[name] for name in here])
    context = f'Verify if the source knows pod "{destination.name}" as an endpoint of "{called}"'
    ip = destination.pod.status.pod_ip
    known = {socket.address for name in here for socket in found.addresses(name)}
    if ip in known:
        yield Result(context=context)
    else:
        others = ", ".join(sorted(known)) or "no address at all"
        yield failed(context, f"It knows {others}, not {ip}", "osm bus watch endpoints --once shows what was published")


def _chain(found: Believed, called: Called, ports: list[int]) -> Result:
    context = f'Verify if the outbound listener leads to service "{called}"'
    listener = found.listener(OUTBOUND)
    names = {chain.name for chain in listener.filter_chains} if listener is not None else set()
    wanted = {f"{OUTBOUND}.{called}|{port}" for port in ports} | {f"{OUTBOUND}.{port}" for port in ports}
    if wanted & names:
        return Result(context=context)
    return failed(context, f"It has no chain of {', '.join(sorted(wanted))}", WAIT)


def server(destination: End, called: Called) -> Result:
    context = f'Verify Envoy configuration on destination pod "{destination.name}"'
    if destination.why:
        return unknown(context, destination.why, WAIT)
    steps = [_listener(destination.believed, INBOUND), _secrets(destination), _inbound(destination.believed, called)]
    return whole(context, iter(steps))


def _inbound(found: Believed, called: Called) -> Result:
    context = f'Verify if the inbound listener accepts calls of service "{called}"'
    listener = found.listener(INBOUND)
    names = {chain.name for chain in listener.filter_chains} if listener is not None else set()
    if any(name.startswith(f"{INBOUND}.{called}|") for name in names):
        return Result(context=context)
    return failed(context, f"It has no chain of {INBOUND}.{called}", WAIT)


def external(source: End, world: World, host: str, port: int) -> Result:
    context = f'Verify Envoy configuration on source pod "{source.name}" for external port {port}'
    if source.why:
        return unknown(context, source.why, WAIT)
    listener = source.believed.listener(OUTBOUND)
    if world.egress and listener is not None and listener.default_filter_chain is not None:
        return Result(context=context)
    own = [] if listener is None else [each for each in listener.filter_chains if _takes(each.filter_chain_match, port)]
    if own:
        return Result(context=context)
    reason = f"Nothing in the outbound listener leads to {host or 'an address outside'} at port {port}"
    remedy = "write an Egress policy, or set spec.traffic.enableEgress of the MeshConfig"
    return failed(context, reason, remedy)


def _takes(match: dict[str, object], port: int) -> bool:
    return match.get("destination_port") == port


def ingress(destination: End, backend: str, port: int, protocol: str) -> Result:
    context = f'Verify Envoy configuration on destination pod "{destination.name}" for ingress at port {port}'
    if destination.why:
        return unknown(context, destination.why, WAIT)
    listener = destination.believed.listener(INBOUND)
    names = {chain.name for chain in listener.filter_chains} if listener is not None else set()
    over_tls = f"ingress.{port}.tls"
    if any(name.startswith(over_tls) if protocol == "https" else name == f"ingress.{port}" for name in names):
        return Result(context=context)
    return failed(
        context,
        f"Its inbound listener has no chain for {protocol} ingress at port {port}",
        f"osm wait ingressbackend {backend}",
    )
