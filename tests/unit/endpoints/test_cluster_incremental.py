"""A picture that was changed bit by bit is the one that is made at once of what is there in the end."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from osm.k8s import objects
from osm.testing.cluster_objects import MESHED, account, endpoint_slice, namespace, pod, service, spot
from services.endpoints import object_facts
from services.endpoints.cluster_state import ClusterState

NAMES = st.sampled_from(["a", "b", "c"])
SPACES = st.sampled_from(["town", "village"])
LABELS = st.fixed_dictionaries({}, optional={"app": NAMES, "tier": NAMES})


@st.composite
def namespaces(draw):
    labels = draw(st.sampled_from([{}, MESHED, {**MESHED, "openservicemesh.io/ignore": ""}]))
    return "put_namespaces", namespace(draw(SPACES), labels=labels)


@st.composite
def accounts(draw):
    return "put_accounts", account(draw(SPACES), draw(NAMES))


@st.composite
def services(draw):
    port = draw(st.sampled_from([{"port": 80}, {"port": 80, "targetPort": "web"}, {"name": "tcp-x", "port": 81}]))
    address = draw(st.sampled_from(["None", "10.0.0.1"]))
    selector = draw(LABELS)
    return "put_services", service(draw(SPACES), draw(NAMES), ports=[port], selector=selector, clusterIP=address)


@st.composite
def pods(draw):
    return "put_pods", pod(
        draw(SPACES),
        draw(NAMES),
        labels=draw(LABELS),
        sidecar=draw(st.sampled_from(["", "u1", "u2"])),
        account=draw(NAMES),
        ip=draw(st.sampled_from(["", "10.1.0.1", "10.1.0.2"])),
        ports=draw(st.sampled_from([(), ({"name": "web", "containerPort": 8080},)])),
    )


@st.composite
def slices(draw):
    spots = draw(st.lists(st.builds(spot, st.sampled_from(["10.1.0.1", "fd00::1"]), NAMES, ready=st.booleans())))
    ports = draw(st.sampled_from([[{"port": 8080}], [{"name": "tcp-x", "port": 81}]]))
    return "put_slices", endpoint_slice(draw(SPACES), draw(NAMES), *spots, ports=ports, name=draw(NAMES))


FACTS = {
    "put_namespaces": lambda each: object_facts.namespace(
        msgspec.convert(each, objects.Namespace), mesh="osm", control_plane="osm-system"
    ),
    "put_accounts": lambda each: each,
    "put_services": lambda each: object_facts.service(msgspec.convert(each, objects.Service)),
    "put_pods": lambda each: object_facts.pod(msgspec.convert(each, objects.Pod)),
    "put_slices": lambda each: object_facts.slice_(msgspec.convert(each, objects.EndpointSlice)),
}
CHANGES = st.lists(
    st.tuples(st.one_of(namespaces(), accounts(), services(), pods(), slices()), st.booleans(), st.booleans()),
    max_size=40,
)
"""Each: what is put; whether it is gone instead; whether a step is taken after it."""


@settings(max_examples=300, deadline=None)
@given(CHANGES)
def test_the_way_to_a_picture_leaves_no_trace_in_it(changes):
    grown, there = ClusterState(), {kind: {} for kind in FACTS}
    seen = {}
    for (kind, each), gone, step in changes:
        key = each["metadata"].get("namespace", ""), each["metadata"]["name"]
        there[kind][key] = None if gone else FACTS[kind](each)
        getattr(grown, kind)({key: there[kind][key]}, full=False)
        if step:
            _apply(seen, grown.take())
    _apply(seen, grown.take())
    fresh = ClusterState()
    for kind, facts in there.items():
        getattr(fresh, kind)(facts, full=True)
    fresh.take()
    assert grown.documents == fresh.documents
    assert seen == fresh.documents
    assert grown.lines == fresh.lines


def _apply(documents, step):
    documents.update(step.puts)
    for key in step.deletes:
        del documents[key]
