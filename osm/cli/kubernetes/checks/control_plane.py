"""Whether the control plane runs, is the one meant, and is reached by those who call it. Pure."""

from collections.abc import Iterator

from osm.cli.kubernetes.checks.facts import After, HookConfiguration
from osm.cli.kubernetes.checks.line import Line, error, ok, warning
from osm.cli.kubernetes.definitions import judge
from osm.cli.kubernetes.mode import is_permissive, switch
from osm.contracts import labels

CONTROL_PLANE, WEBHOOKS, KINDS, BUS = "control plane", "webhooks", "kinds", "bus"


def control_plane(facts: After) -> Iterator[Line]:
    for check in (version, workloads, config, mutating, validating, definitions, bus, services):
        yield from check(facts)


def version(facts: After) -> Iterator[Line]:
    mesh = facts.mesh
    if mesh.version == facts.cli_version:
        yield ok(CONTROL_PLANE, f"mesh [{mesh.name}] in namespace [{mesh.namespace}] is version {mesh.version}")
    else:
        what = f"mesh [{mesh.name}] is version {mesh.version or 'unknown'}, this CLI is {facts.cli_version}"
        yield warning(CONTROL_PLANE, what, "osm mesh upgrade --reuse-values")


def workloads(facts: After) -> Iterator[Line]:
    standing = facts.standing
    for trouble in standing.troubles:
        remedy = trouble.remedy or _where_more_is_said(trouble.subject, facts.mesh.namespace)
        yield error(CONTROL_PLANE, str(trouble), remedy)
    if not standing.workloads:
        yield error(CONTROL_PLANE, f"namespace [{facts.mesh.namespace}] has no control plane", "osm install")
    elif standing.ready == len(standing.workloads):
        yield ok(CONTROL_PLANE, f"all {standing.ready} Deployments and StatefulSets are ready")
    elif not standing.troubles:
        yield error(CONTROL_PLANE, f"{standing.ready} of {len(standing.workloads)} are ready", "osm check --wait")


def _where_more_is_said(subject: str, home: str) -> str:
    """A pod says it itself; of a Deployment that has none, the cluster does."""
    if subject.startswith("pod "):
        return f"kubectl logs -n {home} {subject.removeprefix('pod ')}"
    return f"kubectl describe all -n {home} -l app={subject}"


def config(facts: After) -> Iterator[Line]:
    home = facts.mesh.namespace
    if facts.config is None:
        what = f"there is no MeshConfig {home}/osm-mesh-config: the defaults are in force, permissive mode among them"
        yield warning(CONTROL_PLANE, what, "osm mesh upgrade --reuse-values makes it again")
    elif is_permissive(facts.config):
        enforce = switch(home, permissive=False)
        yield ok(CONTROL_PLANE, f"policies are permissive: TrafficTargets are not asked; enforce them: {enforce}")
    else:
        yield ok(CONTROL_PLANE, "policies are enforced")


def mutating(facts: After) -> Iterator[Line]:
    yield from _hooks(
        facts, facts.mutating, labels.injection_webhook(facts.mesh.name), "new pods get no sidecar without it"
    )


def validating(facts: After) -> Iterator[Line]:
    name = labels.validating_webhook(facts.mesh.name)
    yield from _hooks(facts, facts.validating, name, "mistakes in policies are not refused without it")


def _hooks(facts: After, found: tuple[HookConfiguration, ...], name: str, loss: str) -> Iterator[Line]:
    configuration = next((each for each in found if each.metadata.name == name), None)
    again = "osm mesh upgrade --reuse-values makes it again"
    logs = f"kubectl logs -n {facts.mesh.namespace} deploy/osm-injector: it fills in caBundle"
    if configuration is None or not configuration.webhooks:
        yield error(WEBHOOKS, f"webhook configuration {name} is not there: {loss}", again)
        return
    faults = 0
    for hook in configuration.webhooks:
        service = hook.client_config.service
        if service is None or service.namespace != facts.mesh.namespace:
            where = service.namespace if service is not None else "no namespace"
            yield error(WEBHOOKS, f"{name}/{hook.name} calls a service in {where}: {loss}", again)
        elif not hook.client_config.ca_bundle:
            yield error(WEBHOOKS, f"{name}/{hook.name} has no caBundle, so every call of it fails", logs)
        elif facts.roots_pem and not _shares_a_certificate(hook.client_config.ca_bundle, facts.roots_pem):
            yield error(WEBHOOKS, f"{name}/{hook.name} trusts another root than the mesh's", logs)
        else:
            continue
        faults += 1
    if not faults:
        yield ok(WEBHOOKS, f"{name} is there, and trusts the mesh's root")


def _shares_a_certificate(bundle: bytes, roots: bytes) -> bool:
    return bool(_blocks(bundle) & _blocks(roots))


def _blocks(pem: bytes) -> set[bytes]:
    """The certificates of a PEM text, without white space: texts that mean the same are equal."""
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    return {b"".join(each.partition(end)[0].split()) for each in pem.split(begin)[1:]}


def definitions(facts: After) -> Iterator[Line]:
    found = {each.metadata.name: each for each in facts.definitions}
    faults = 0
    for each in facts.wanted:
        kind, name = each.kind, each.metadata.name
        definition = found.get(name)
        remedy = judge(definition, each).remedy or "osm mesh upgrade --reuse-values applies the definitions again"
        if definition is None:
            yield error(KINDS, f"CRD {name} is not there: no {kind.kind} can be applied", remedy)
        elif kind.version not in definition.served:
            served = ", ".join(definition.served) or "nothing"
            yield error(KINDS, f"CRD {name} serves {served}, and the mesh reads {kind.version}", remedy)
        else:
            continue
        faults += 1
    if not faults:
        yield ok(KINDS, f"all {len(facts.wanted)} CRDs are there in the versions that the mesh reads")


def bus(facts: After) -> Iterator[Line]:
    if facts.bus.why:
        home = facts.mesh.namespace
        yield error(BUS, f"the bus cannot be asked: {facts.bus.why}", f"kubectl logs -n {home} sts/osm-nats")
        return
    for bucket in facts.bus.buckets:
        if bucket.bucket in ("local", "status"):
            continue  # nobody writes the one in a cluster, and the other has no full picture by nature
        logs = f"kubectl logs -n {facts.mesh.namespace} deploy/osm-{bucket.bucket}"
        if not bucket.synced:
            yield error(BUS, f"bucket {bucket.bucket} has no full picture: its writer has not put one", logs)
        elif bucket.undecodable:
            what = f"bucket {bucket.bucket} holds {bucket.undecodable} documents that cannot be decoded"
            yield error(BUS, what, "osm mesh upgrade: all parts of a mesh must be of one version")
    if not any(
        not each.synced or each.undecodable for each in facts.bus.buckets if each.bucket not in ("local", "status")
    ):
        yield ok(BUS, "every bucket has its full picture")


def services(facts: After) -> Iterator[Line]:
    for each in facts.bus.services:
        if each.state == "starting":
            waits = f" and waits for {', '.join(each.waiting_for)}" if each.waiting_for else ""
            logs = f"kubectl logs -n {facts.mesh.namespace} {each.replica}"
            yield error(CONTROL_PLANE, f"{each.service} ({each.replica}) is starting{waits}", logs)
