"""The folder's objects → what must run here, and what cannot and why. Pure.

A workload with an error among its problems does not run; the others do. Where its text was good before, the last good
form is what is planned (`last_good`).
"""

import difflib
from collections.abc import Iterable, Mapping

from msgspec import Struct

from osm.contracts.endpoints import Explicit
from osm.contracts.labels import IGNORE
from osm.contracts.names import ROOT_NAMESPACE, ObjectRef
from osm.contracts.problem import Problem
from osm.isolation import network
from osm.manifests.explicit_ports import offered
from osm.manifests.last_good import InForce
from osm.manifests.pods import Container
from osm.manifests.workloads import Namespace
from services.local import addresses
from services.local.instance import Machine, instance
from services.local.plan_types import Planned
from services.local.replicas import DEFAULT_ACCOUNT, Replicas, replicas

Objects = InForce[Struct]


class Plan(Struct, frozen=True, kw_only=True):
    """What must run, by id, and what is wrong. `slots`: the places of all addresses ever given, by id."""

    workloads: Mapping[str, Planned] = {}
    problems: tuple[Problem, ...] = ()
    slots: Mapping[str, int] = {}


def plan(found: Objects, machine: Machine, before: Plan) -> Plan:
    """`before`: the plan in force. A workload that is wrong now, or cannot be read, goes on as planned before.

    Raises BlockFull, TooManyPorts.
    """
    every = [each for ref in sorted(found.kept) if (each := replicas(ref, found.kept[ref])) is not None]
    owners, problems = _owners(every, found)
    slots = addresses.slots(owners, before.slots)
    upstreams = offered(found.objects)
    planned: dict[str, Planned] = {}
    for id_, owner in owners.items():
        made, wrong = instance(owner, id_, machine, slots[id_], upstreams)
        problems += [each for each in wrong if each not in problems]  # replicas of one template say the same
        if not _refused(wrong):
            planned[id_] = made
    members = {each.ref for each in every if not _outside(each, found)}
    wrong_now = members & {each.subject for each in problems if each.severity == "error"}
    stay = wrong_now | _unread({each.ref for each in before.workloads.values()}, found)
    kept = {id_: each for id_, each in before.workloads.items() if each.ref in stay and id_ not in planned}
    return Plan(workloads={**kept, **planned}, problems=tuple(problems), slots={**before.slots, **slots})


def going_on(left: Iterable[Planned], block: int) -> Plan:
    """The plan of what runs already: to be `before` the first that is made from the folder."""
    workloads = {each.id: each for each in left}
    slots = {id_: slot for id_, each in workloads.items() if (slot := slot_of(each, block)) is not None}
    return Plan(workloads=workloads, slots=slots)


def slot_of(planned: Planned, block: int) -> int | None:
    """The place that its addresses are of; None if they are of another block."""
    how = planned.document.interception
    if isinstance(how, Explicit):
        return addresses.slot_of(block, how.outbound_host)
    return network.slot_of(planned.document.host)


def _unread(refs: Iterable[ObjectRef], found: Objects) -> set[ObjectRef]:
    """Those that the folder may hold, though not in a form that could ever be read here."""
    return {ref for ref in refs if (found.kept[ref].good is None if ref in found.kept else not found.complete)}


def _owners(every: list[Replicas], found: Objects) -> tuple[dict[str, Replicas], list[Problem]]:
    """The workloads that nothing is wrong with as a whole, by the ids of their replicas."""
    owners: dict[str, Replicas] = {}
    problems: list[Problem] = []
    for each in every:
        wrong = _refusals(each, found)
        taken = [owners[id_].ref for id_ in each.ids() if id_ in owners]
        if taken:
            wrong.append(each.problem("metadata.name", f"its replicas would be called as those of {taken[0]}"))
        problems += wrong
        if not _refused(wrong):
            owners.update((id_, each) for id_ in each.ids())
    return owners, problems


def _refused(problems: Iterable[Problem]) -> bool:
    return any(each.severity == "error" for each in problems)


def _outside(each: Replicas, found: Objects) -> str:
    """Why the workload's namespace is not the mesh's to run; empty if it is."""
    if each.ref.namespace == ROOT_NAMESPACE:
        return f"{ROOT_NAMESPACE} is reserved for the control plane; choose another namespace"
    namespace = found.objects.get(ObjectRef("Namespace", "", each.ref.namespace))
    if isinstance(namespace, Namespace) and IGNORE in namespace.metadata.labels:
        return f"not started: its namespace is labelled {IGNORE}, so it is not in the mesh"
    return ""


def _refusals(each: Replicas, found: Objects) -> list[Problem]:
    """What is wrong with a workload as a whole."""
    outside = _outside(each, found)
    if outside:
        return [each.problem("metadata.namespace", outside)]
    problems: list[Problem] = []
    if (
        each.account != DEFAULT_ACCOUNT
        and ObjectRef("ServiceAccount", each.ref.namespace, each.account) not in found.kept
    ):
        problems.append(each.problem(f"{each.path}.serviceAccountName", _no_account(each, found)))
    labels = each.metadata.labels
    if not each.match_labels.items() <= labels.items():
        wanted = ", ".join(f"{key}={value}" for key, value in sorted(each.match_labels.items()))
        what = f"the template's labels do not match it; add {wanted} to spec.template.metadata.labels"
        problems.append(each.problem("spec.selector.matchLabels", what))
    if not each.spec.containers:
        problems.append(each.problem(f"{each.path}.containers", "there is no container; add one with a command"))
    for index, container in enumerate(each.spec.containers):
        problems += _container_refusals(each, f"{each.path}.containers[{index}]", container)
    return problems


def _no_account(each: Replicas, found: Objects) -> str:
    known = [ref.name for ref in found.kept if ref.kind == "ServiceAccount" and ref.namespace == each.ref.namespace]
    close = difflib.get_close_matches(each.account, known, n=1)
    hint = f" (did you mean `{close[0]}`?)" if close else "; add one"
    return f'there is no ServiceAccount "{each.account}" in namespace {each.ref.namespace}{hint}'


def _container_refusals(each: Replicas, field: str, container: Container) -> list[Problem]:
    problems: list[Problem] = []
    if not container.command:
        what = (
            "an image is not run on this platform, so its own command is not known; "
            "add the program, such as `command: [python3, -m, my.app]`"
        )
        problems.append(each.problem(f"{field}.command", what))
    for index, port in enumerate(container.ports):
        if port.protocol != "TCP":
            what = f"found {port.protocol}; the mesh carries TCP only, so this port is left out"
            problems.append(each.problem(f"{field}.ports[{index}].protocol", what, "warning"))
    return problems
