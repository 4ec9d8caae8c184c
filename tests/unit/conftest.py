"""What all unit tests share: how hypothesis runs, the one flag of golden tests, and what a scrape would see."""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings
from opentelemetry import metrics
from prometheus_client.parser import text_string_to_metric_families

from osm.runtime.metrics import Metrics

# How long examples take on a busy machine says nothing of the code.
settings.register_profile("osm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("osm")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write what comes out now over the golden files")


@pytest.fixture
def rewrite_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite-golden", default=False))


@pytest.fixture
def scraped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., float | None]]:
    """Whatever makes a meter from now on is measured. A call scrapes: the value of the sample of exactly this name and
    these labels, None if there is none."""
    measures = Metrics("test", "r", "v")
    monkeypatch.setattr(metrics, "get_meter", measures.provider.get_meter)

    def value(name: str, **labels: str) -> float | None:
        families = text_string_to_metric_families(measures.exposition().decode())
        samples = [sample for family in families for sample in family.samples]
        return next((each.value for each in samples if (each.name, each.labels) == (name, labels)), None)

    yield value
    measures.close()
