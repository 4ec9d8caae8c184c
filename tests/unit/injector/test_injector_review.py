"""The API server's form: what is read, what is refused, what is answered."""

import base64
import json
from typing import Any

import pytest

from services.injector.review import Answer, NotAReview, Op, read, write


def body(**changes: Any) -> bytes:
    review: dict[str, Any] = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "namespace": "shop",
            "object": {"metadata": {"name": "web"}},
            "userInfo": {"username": "someone"},
        },
    }
    return json.dumps(review | changes).encode()


def test_a_request_is_read_and_its_object_stays_as_it_came() -> None:
    request = read(body())
    assert (request.uid, request.kind.kind, request.namespace, request.dry_run) == ("1", "Pod", "shop", None)
    assert json.loads(bytes(request.object)) == {"metadata": {"name": "web"}}
    assert bytes(request.old_object) == b"null"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "expected an AdmissionReview of admission.k8s.io/v1: Input data was truncated"),
        (b"[]", "expected an AdmissionReview of admission.k8s.io/v1: Expected `object`, got `array`"),
        (b'{"x":' + b"[" * 20_000 + b"]" * 20_000, "expected an AdmissionReview of admission.k8s.io/v1: maximum"),
        (b'{"kind":"\xff"}', "expected an AdmissionReview of admission.k8s.io/v1: 'utf-8' codec can't decode"),
        (body(kind="Pod"), "expected an AdmissionReview of admission.k8s.io/v1, found Pod of admission.k8s.io/v1"),
        (
            body(apiVersion="admission.k8s.io/v1beta1"),
            "expected an AdmissionReview of admission.k8s.io/v1, found AdmissionReview of admission.k8s.io/v1beta1",
        ),
        (body(request=None), "expected a request in the AdmissionReview, found none"),
        (body(request={"uid": 1}), "expected an AdmissionReview of admission.k8s.io/v1: Expected `str`, got `int`"),
    ],
)
def test_what_is_no_review_is_told_in_a_sentence(text: bytes, why: str) -> None:
    with pytest.raises(NotAReview) as refused:
        read(text)
    assert str(refused.value).startswith(why)


def test_a_patch_is_told_as_the_api_server_reads_it() -> None:
    answer = Answer(allowed=True, patch=(Op(op="add", path="/a", value=0), Op(op="remove", path="/b")), warnings=("w",))
    review = json.loads(write("1", answer))
    assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    response = review["response"]
    assert json.loads(base64.b64decode(response.pop("patch"))) == [
        {"op": "add", "path": "/a", "value": 0},
        {"op": "remove", "path": "/b"},
    ]
    assert response == {"uid": "1", "allowed": True, "patchType": "JSONPatch", "warnings": ["w"]}


def test_a_refusal_carries_its_sentence_and_no_patch() -> None:
    review = json.loads(write("1", Answer(allowed=False, why="no", code=422)))
    assert review["response"] == {"uid": "1", "allowed": False, "status": {"code": 422, "message": "no"}}


def test_warnings_are_few_and_short() -> None:
    warnings = json.loads(write("1", Answer(allowed=True, warnings=("w" * 300,) * 20)))["response"]["warnings"]
    assert [len(warning) for warning in warnings] == [256] * 10
