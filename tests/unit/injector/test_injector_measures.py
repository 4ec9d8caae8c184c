"""What the injector shows to who scrapes it."""

from collections.abc import Callable
from typing import Any

from osm.bus.memory import MemoryCore
from osm.contracts.names import Address
from osm.k8s.errors import Unreachable
from services.injector.bus_inputs import BusInputs
from services.injector.measures import Measures
from services.injector.pods_and_secrets import PodsAndSecrets
from services.injector.proxies import Proxy
from services.injector.secret import Kept, Mesh
from services.injector.secret_chores import Chore
from services.injector.secret_controller import SecretController
from services.injector.webhook_server import WebhookServer
from tests.golden.injector import cases
from tests.unit.injector.reviews import OneNamespace, review

Scraped = Callable[..., float | None]


def answers(cluster: Any) -> WebhookServer:
    house = cases.house(cases.load("native"))
    return WebhookServer(cluster, BusInputs("cluster.local"), ours=cases.OURS, house=house, admitted=lambda _: None)


def proxy(uuid: str, **more: Any) -> Proxy:
    return Proxy(namespace="shop", uuid=uuid, pod=uuid, pod_uid=uuid, account="web", seen_s=0.0, **more)


def secret(uuid: str, not_after_s: int) -> Kept:
    return Kept(namespace="shop", uuid=uuid, created_s=0.0, not_after_s=not_after_s)


async def test_reviews_are_counted_by_answer_and_timed(scraped: Scraped) -> None:
    await answers(OneNamespace()).mutate(review())
    assert scraped("osm_injector_reviews_total", answer="injected") == 1
    assert scraped("osm_injector_reviews_total", answer="refused") == 0
    assert scraped("osm_injector_review_duration_seconds_count", webhook="mutate") == 1


async def test_a_pod_that_must_wait_for_the_api_server_is_counted(scraped: Scraped) -> None:
    await answers(OneNamespace(Unreachable("no answer"))).mutate(review())
    assert scraped("osm_injector_reviews_total", answer="unavailable") == 1


async def test_a_secret_waits_from_its_first_failure_until_it_is_written(scraped: Scraped) -> None:
    core = MemoryCore()
    mesh = Mesh(name="osm", trust_domain="cluster.local", xds=Address("xds", 1))
    cluster: Any = OneNamespace()  # no Secret is written: nobody signs
    keeper = SecretController(core.bus("injector"), cluster, BusInputs("cluster.local"), mesh)
    assert scraped("osm_injector_waiting") == 0
    await keeper._try(Chore(verb="make", key=("shop", "u"), due_s=0.0, proxy=proxy("u")))
    assert scraped("osm_injector_waiting") == 1
    assert scraped("osm_injector_failures_total", verb="make") == 1
    assert scraped("osm_injector_secrets_total", verb="make") == 0
    await keeper._try(Chore(verb="collect", key=("shop", "u"), due_s=0.0))  # not ours to do, so done
    assert scraped("osm_injector_waiting") == 0
    assert scraped("osm_injector_secrets_total", verb="collect") == 1


def test_the_first_end_is_that_of_a_running_sidecar_and_known_to_who_tends_them(scraped: Scraped) -> None:
    board = PodsAndSecrets("osm")
    Measures(waiting=lambda: 0, ends=board.earliest_end_s)
    board._proxies = {("shop", each.pod): each for each in (proxy("a"), proxy("b"), proxy("c", finished=True))}
    board._pods_read = True
    assert scraped("osm_injector_certificate_not_after_seconds") is None
    board.secrets = {each.key: each for each in (secret("a", 300), secret("b", 200), secret("c", 100), secret("d", 50))}
    assert scraped("osm_injector_certificate_not_after_seconds") == 200
