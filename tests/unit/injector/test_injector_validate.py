"""Policy objects before they are stored: refused for what `meshspec` would refuse, and nobody is locked out."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from services.injector.review import Answer, Kind, NotAReview, Request
from services.injector.validate import validate

TARGET = Kind(group="access.smi-spec.io", version="v1alpha3", kind="TrafficTarget")
SPEC = {
    "destination": {"kind": "ServiceAccount", "name": "store", "namespace": "shop"},
    "sources": [{"kind": "ServiceAccount", "name": "buyer", "namespace": "buyers"}],
    "rules": [{"kind": "TCPRoute", "name": "sql"}],
}
ELSEWHERE = SPEC | {"destination": {"kind": "ServiceAccount", "name": "store", "namespace": "other"}}


def text(spec: Any, kind: Kind = TARGET, **metadata: Any) -> Raw:
    body = {
        "apiVersion": f"{kind.group}/{kind.version}",
        "kind": kind.kind,
        "metadata": {"name": "it", "namespace": "shop", "managedFields": [], **metadata},
        "spec": spec,
    }
    return Raw(msgspec.json.encode(body))


def asked(after: Raw, before: Raw = Raw(b"null"), operation: str = "CREATE", kind: Kind = TARGET) -> Request:  # noqa: B008  # immutable
    return Request(
        uid="1", kind=kind, operation=operation, namespace="shop", name="it", object=after, old_object=before
    )


def test_a_good_object_is_let_in() -> None:
    assert validate(asked(text(SPEC))) == Answer(allowed=True)


def test_a_target_in_another_namespace_than_its_destination_is_refused_with_where_and_what() -> None:
    answer = validate(asked(text(ELSEWHERE)))
    assert (answer.allowed, answer.code) == (False, 422)
    assert answer.why == (
        "TrafficTarget shop/it: spec.destination.namespace: "
        'expected "shop", the TrafficTarget\'s own namespace, found "other"'
    )


def test_all_problems_are_told_at_once() -> None:
    answer = validate(asked(text(ELSEWHERE | {"sources": [], "rules": []})))
    assert [sentence.partition(":")[0] for sentence in answer.why.split("; ")][1:] == ["spec.sources", "spec.rules"]


def test_what_is_only_odd_is_let_in_with_a_warning() -> None:
    odd = SPEC | {"rules": [{"kind": "TCPRoute", "name": "sql", "matches": ["x"]}]}
    answer = validate(asked(text(odd)))
    assert answer.allowed
    assert answer.warnings == ("spec.rules[0].matches: a TCPRoute has no named matches: this is ignored",)


@pytest.mark.parametrize("operation", ["DELETE", "CONNECT"])
def test_a_deletion_is_never_refused(operation: str) -> None:
    assert validate(asked(Raw(b"null"), text(ELSEWHERE), operation)) == Answer(allowed=True)


@pytest.mark.parametrize("changed", [{"labels": {"a": "b"}}, {"finalizers": []}])
def test_an_object_that_is_wrong_already_may_be_edited_elsewhere(changed: dict[str, Any]) -> None:
    answer = validate(asked(text(ELSEWHERE, **changed), text(ELSEWHERE), "UPDATE"))
    assert answer.allowed
    assert answer.warnings


def test_an_object_on_its_way_out_is_let_go_whatever_it_says() -> None:
    going = text(ELSEWHERE, deletionTimestamp="2026-01-01T00:00:00Z")
    assert validate(asked(going, text(SPEC), "UPDATE")).allowed


def test_an_edit_that_makes_it_wrong_is_refused() -> None:
    assert not validate(asked(text(ELSEWHERE), text(SPEC), "UPDATE")).allowed


def test_kinds_of_others_are_none_of_our_business() -> None:
    other = Kind(group="apps", version="v1", kind="Deployment")
    assert validate(asked(text({"nonsense": 1}, other), kind=other)) == Answer(allowed=True)


def test_a_mesh_config_is_read_too() -> None:
    config = Kind(group="config.openservicemesh.io", version="v1alpha2", kind="MeshConfig")
    answer = validate(asked(text({"traffic": {"enableEgres": True}}, config), kind=config))
    assert "spec.traffic.enableEgres: unknown field" in answer.why


def test_a_mesh_config_whose_authorizer_cannot_be_asked_is_refused() -> None:
    config = Kind(group="config.openservicemesh.io", version="v1alpha2", kind="MeshConfig")
    asks = {"traffic": {"inboundExternalAuthorization": {"enable": True, "address": "grpc://authz", "port": 9000}}}
    answer = validate(asked(text(asks, config), kind=config))
    assert not answer.allowed
    assert "inboundExternalAuthorization.address: expected a host name or an IP address" in answer.why
    off = {"traffic": {"inboundExternalAuthorization": {"enable": False, "address": "grpc://authz", "port": 9000}}}
    assert validate(asked(text(off, config), kind=config)) == Answer(allowed=True)


def test_what_is_no_object_is_malformed() -> None:
    with pytest.raises(NotAReview):
        validate(asked(Raw(b"[]")))
