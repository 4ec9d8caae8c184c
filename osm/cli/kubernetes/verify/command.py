"""`osm verify`: step by step, whether one pod, or a gateway, can reach another."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from osm.cli.check_pods import raw
from osm.cli.kubernetes.cluster import look_up, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.meshes import chosen
from osm.cli.kubernetes.survey import all_meshes
from osm.cli.kubernetes.verify import envoys, gather, ingress, membership
from osm.cli.kubernetes.verify.facts import Called, End, World
from osm.cli.kubernetes.verify.result import Result, text, whole
from osm.cli.output import Format, OutputOption, stderr, stdout, structured
from osm.cli.run_async import run
from osm.contracts.names import ObjectRef
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import IngressBackend
from osm.k8s.resource import INGRESS_BACKENDS
from osm.manifests.document import Parsed
from osm.smi.parsing import parse

app = typer.Typer(no_args_is_help=True, help="Step by step, whether one pod, or a gateway, can reach another.")

MeshOption = Annotated[str, typer.Option("--mesh-name", help="The mesh; the only one by default.")]
EveryOption = Annotated[bool, typer.Option("--all", help="Show the steps that succeed too.")]
ToPodOption = Annotated[str, typer.Option("--to-pod", metavar="NAMESPACE/POD", help="The pod that is called.")]


@app.command("connectivity")
@on_cluster
def connectivity(
    from_pod: Annotated[str, typer.Option("--from-pod", metavar="NAMESPACE/POD", help="The pod that calls.")],
    *,
    to_pod: ToPodOption = "",
    to_service: Annotated[
        str, typer.Option("--to-service", metavar="[NAMESPACE/]SERVICE", help="The service by which it is called.")
    ] = "",
    to_ext_host: Annotated[str, typer.Option("--to-ext-host", help="A host outside the cluster.")] = "",
    to_ext_port: Annotated[
        int, typer.Option("--to-ext-port", show_default=False, help="A port outside the cluster.")
    ] = 0,
    app_protocol: Annotated[str, typer.Option("--app-protocol", help="http or tcp; the steps are the same.")] = "http",
    mesh_name: MeshOption = "",
    every: EveryOption = False,
    output: OutputOption = Format.table,
    where: ClusterOptions,
) -> None:
    """Say whether a pod can reach another by a service, or a port outside, and at which step it fails.

    Exit status 1 unless every step succeeds.

    Example: osm verify connectivity --from-pod curl/curl --to-pod httpbin/httpbin --to-service httpbin
    """
    _require_known(app_protocol, ("http", "tcp"))
    if bool(to_pod and to_service) == bool(to_ext_port):
        raise typer.BadParameter("name --to-pod and --to-service, or --to-ext-port", param_hint="--to-pod")
    outside = (to_ext_host, to_ext_port)
    verifying = _connectivity(where, mesh_name, from_pod, to_pod=to_pod, to_service=to_service, outside=outside)
    _tell(run(verifying), output, every=every)


async def _connectivity(
    where: ClusterOptions, mesh: str, from_pod: str, *, to_pod: str, to_service: str, outside: tuple[str, int]
) -> Result:
    with stderr.status("asking the sidecars"):
        async with opened(where) as cluster:
            world = await gather.world(cluster, chosen(await all_meshes(cluster), mesh, where.osm_namespace))
            source = await gather.end(cluster, where, from_pod)
            if not to_pod:
                return judge_outside(source, world, *outside)
            destination = await gather.end(cluster, where, to_pod)
            called = await gather.called(cluster, to_service, destination.pod.metadata.namespace)
            return judge(source, destination, called, world)


def judge(source: End, destination: End, called: Called, world: World) -> Result:
    """One pod to another, by a service."""

    def steps() -> Iterator[Result]:
        for namespace_of in {each.namespace.metadata.name: each for each in (source, destination)}.values():
            yield membership.monitored(namespace_of, world.mesh)
        yield membership.sidecar(source)
        yield membership.sidecar(destination)
        yield membership.allowed_by_policy(source, destination, world)
        yield membership.selects(called, destination)
        yield envoys.client(source, destination, called)
        yield envoys.server(destination, called)

    return whole(f'Verify if pod "{source.name}" can access pod "{destination.name}" for service "{called}"', steps())


def judge_outside(source: End, world: World, host: str, port: int) -> Result:
    """One pod to a port outside the mesh."""
    steps = (
        membership.monitored(source, world.mesh),
        membership.sidecar(source),
        envoys.external(source, world, host, port),
    )
    there = f'external host "{host}" on port {port}' if host else f"external port {port}"
    return whole(f'Verify if pod "{source.name}" can access {there}', iter(steps))


@app.command("ingress")
@on_cluster
def ingress_(
    from_service: Annotated[
        str, typer.Option("--from-service", metavar="NAMESPACE/SERVICE", help="The gateway's service.")
    ],
    to_pod: ToPodOption,
    to_service: Annotated[str, typer.Option("--to-service", metavar="[NAMESPACE/]SERVICE", help="The backend.")],
    ingress_backend: Annotated[
        str, typer.Option("--ingress-backend", metavar="[NAMESPACE/]NAME", help="The IngressBackend.")
    ],
    to_port: Annotated[int, typer.Option("--to-port", help="The container's port.")],
    *,
    app_protocol: Annotated[str, typer.Option("--app-protocol", help="http, or https: TLS at the sidecar.")] = "http",
    mesh_name: MeshOption = "",
    every: EveryOption = False,
    output: OutputOption = Format.table,
    where: ClusterOptions,
) -> None:
    """Say whether a gateway outside the mesh can reach a pod by an IngressBackend, and at which step it fails.

    Exit status 1 unless every step succeeds.

    Example: osm verify ingress --from-service gw/envoy --to-pod a/b --to-service a --ingress-backend a --to-port 80
    """
    _require_known(app_protocol, ("http", "https"))
    names = (from_service, to_pod, to_service, ingress_backend)
    _tell(run(_ingress(where, mesh_name, names, to_port, app_protocol)), output, every=every)


async def _ingress(
    where: ClusterOptions, mesh: str, names: tuple[str, str, str, str], port: int, protocol: str
) -> Result:
    from_service, to_pod, to_service, backend = names
    with stderr.status("asking the sidecar"):
        async with opened(where) as cluster:
            world = await gather.world(cluster, chosen(await all_meshes(cluster), mesh, where.osm_namespace))
            destination = await gather.end(cluster, where, to_pod)
            home = destination.pod.metadata.namespace
            source = await gather.called(cluster, from_service, home)
            called = await gather.called(cluster, to_service, home)
            own, _, name = backend.rpartition("/")
            ref = ObjectRef(INGRESS_BACKENDS.kind, own or home, name)
            body = await look_up(cluster, INGRESS_BACKENDS, name, ref.namespace, as_=dict[str, Any])
            parsed: Parsed[AnyPolicy] = parse(raw(INGRESS_BACKENDS, body)) if body is not None else Parsed(object=None)
            return judge_ingress(
                source, destination, called, world, ref=ref, parsed=parsed, port=port, protocol=protocol
            )


def judge_ingress(
    source: Called,
    destination: End,
    called: Called,
    world: World,
    *,
    ref: ObjectRef,
    parsed: Parsed[AnyPolicy],
    port: int,
    protocol: str,
) -> Result:
    """A gateway to a pod, by an IngressBackend."""
    backend = parsed.object if isinstance(parsed.object, IngressBackend) else None

    def steps() -> Iterator[Result]:
        yield membership.monitored(destination, world.mesh)
        yield membership.sidecar(destination)
        yield membership.selects(called, destination)
        yield ingress.gateway(source)
        yield ingress.valid(ref, backend, parsed.problems)
        if backend is not None:
            yield ingress.offers(backend, called, port, protocol)
            yield ingress.admits(backend, source, protocol)
        yield envoys.ingress(destination, f"{ref.namespace}/{ref.name}", port, protocol)

    return whole(
        f'Verify if service "{source}" can access pod "{destination.name}" for service "{called}" at port {port}',
        steps(),
    )


def _require_known(protocol: str, allowed: tuple[str, ...]) -> None:
    """The steps are the same for each, so a protocol only has to be one. Raises typer.BadParameter."""
    if protocol not in allowed:
        raise typer.BadParameter(f"found {protocol!r}; allowed are {', '.join(allowed)}", param_hint="--app-protocol")


def _tell(result: Result, output: Format, *, every: bool) -> None:
    if output is Format.table:
        for line in text(result, every=every):
            stdout.print(line, markup=False, soft_wrap=True)
    else:
        structured(result, output)
    if result.status != "Success":
        raise typer.Exit(1)
