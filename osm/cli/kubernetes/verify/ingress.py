"""Whether a gateway outside the mesh may call a pod: the IngressBackend and what follows from it. Pure."""

from collections.abc import Iterable

from osm.cli.kubernetes.verify.facts import Called
from osm.cli.kubernetes.verify.result import Result, failed
from osm.contracts.names import ObjectRef
from osm.contracts.policy import IngressBackend, SourceService
from osm.contracts.problem import Problem


def gateway(source: Called) -> Result:
    context = f'Verify if the gateway\'s service "{source}" exists'
    if source.found is None:
        return failed(context, "It does not", f"kubectl get services -n {source.namespace}")
    return Result(context=context)


def valid(ref: ObjectRef, backend: IngressBackend | None, problems: Iterable[Problem]) -> Result:
    context = f"Verify if {ref} is there and valid"
    errors = [str(problem) for problem in problems if problem.severity == "error"]
    if errors:
        return failed(context, "; ".join(errors), "correct the object and apply it again")
    if backend is None:
        return failed(context, "It is not there", f"kubectl get ingressbackends -n {ref.namespace}")
    return Result(context=context)


def offers(backend: IngressBackend, called: Called, port: int, protocol: str) -> Result:
    context = f'Verify if it has a backend for service "{called}" at port {port} over {protocol}'
    if called.namespace != backend.namespace:
        reason = f'It is in namespace "{backend.namespace}", and an IngressBackend speaks of its own namespace'
        return failed(context, reason, f"put it into namespace {called.namespace}")
    offered = {
        "http": [each.target_port for each in backend.backends if each.service == called.name],
        "https": [each.target_port for each in backend.tls_backends if each.service == called.name],
    }
    found = offered[protocol]
    if not found:
        reason = f'No backend of protocol {protocol} names "{called.name}"'
        return failed(context, reason, "add one to spec.backends, or ask about the other with --app-protocol")
    if port not in found:
        ports = ", ".join(map(str, found))
        return failed(
            context, f"It names port {ports}; the number is the container's port", "correct spec.backends[].port.number"
        )
    return Result(context=context)


def admits(backend: IngressBackend, source: Called, protocol: str) -> Result:
    """Its addresses. Which certificate a gateway shows over https, nobody but the gateway knows."""
    context = f'Verify if it admits the gateway "{source}"'
    services = {str(each.service) for each in backend.sources if isinstance(each, SourceService)}
    ranges = [each for each in backend.sources if not isinstance(each, SourceService)]
    asking = [each for each in backend.tls_backends if not each.any_client]
    if protocol == "https" and asking and not backend.principals:
        reason = "It asks for a client certificate, and no source is an AuthenticatedPrincipal"
        return failed(context, reason, "add the name in the gateway's certificate to spec.sources")
    if str(source) in services or ranges or (protocol == "https" and not services):
        return Result(context=context)
    return failed(
        context, f"Its sources are {', '.join(sorted(services)) or 'none'}", "add the service to spec.sources"
    )
