"""Reviews and answers as bytes, with an API server that is a few lines."""

import base64
import json
from typing import Any

import pytest

from osm.k8s.errors import ApiError, NotFound, Unreachable
from osm.runtime.https import Malformed
from services.injector.bus_inputs import BusInputs
from services.injector.webhook_server import WebhookServer
from tests.golden.injector import cases
from tests.unit.injector.reviews import OneNamespace, review


class Desk:
    """Answers, and the ids that were promised."""

    def __init__(self, error: ApiError | None = None) -> None:
        self.cluster = OneNamespace(error)
        self.promised: list[str] = []
        self.answers = WebhookServer(
            self.cluster,  # type: ignore[arg-type]  # the one method that is used
            BusInputs("cluster.local"),
            ours=cases.OURS,
            house=cases.house(cases.load("native")),
            admitted=self.promised.append,
        )

    async def mutate(self, **changes: Any) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self.answers.mutate(review(**changes)))["response"]
        assert answer["uid"] == "7"
        return answer


async def test_a_pod_is_patched_and_its_id_remembered() -> None:
    desk = Desk()
    answer = await desk.mutate()
    labels = [step for step in json.loads(base64.b64decode(answer["patch"])) if step["path"] == "/metadata/labels"]
    assert desk.promised == [labels[0]["value"]["osm-proxy-uuid"]]


async def test_two_pods_have_two_ids() -> None:
    desk = Desk()
    await desk.mutate()
    await desk.mutate()
    assert len(set(desk.promised)) == 2


async def test_a_dry_run_is_patched_and_not_remembered() -> None:
    desk = Desk()
    assert "patch" in await desk.mutate(dryRun=True)
    assert desk.promised == []


@pytest.mark.parametrize(
    "changes",
    [
        {"operation": "UPDATE"},
        {"kind": {"group": "apps", "version": "v1", "kind": "Deployment"}},
    ],
)
async def test_what_is_no_new_pod_is_let_through_without_a_question(changes: dict[str, Any]) -> None:
    desk = Desk()
    assert await desk.mutate(**changes) == {"uid": "7", "allowed": True}
    assert desk.cluster.asked == []


async def test_an_injector_that_cannot_read_the_namespace_says_so_and_asks_to_try_again() -> None:
    answer = await Desk(Unreachable("get namespaces shop: no answer")).mutate()
    assert (answer["allowed"], answer["status"]["code"]) == (False, 503)
    assert answer["status"]["message"].endswith("get namespaces shop: no answer; try again")


async def test_a_namespace_that_does_not_exist_is_no_review_of_an_api_server() -> None:
    with pytest.raises(Malformed, match="there is no namespace shop"):
        await Desk(NotFound("", status=404, reason="NotFound")).mutate()


@pytest.mark.parametrize("namespace", ["../../secrets", "", "a/b", "A", "a" * 64])
async def test_a_namespace_that_is_no_name_never_gets_into_a_path(namespace: str) -> None:
    desk = Desk()
    with pytest.raises(Malformed, match=r"request\.namespace: expected a namespace"):
        await desk.mutate(namespace=namespace)
    assert desk.cluster.asked == []


@pytest.mark.parametrize("pod", [None, [], {"spec": {"containers": "web"}}, {"spec": {"hostNetwork": "yes"}}])
async def test_what_is_no_pod_is_malformed(pod: object) -> None:
    with pytest.raises(Malformed, match=r"request\.object: expected a Pod: "):
        await Desk().mutate(object=pod)
