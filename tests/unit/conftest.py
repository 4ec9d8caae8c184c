"""What all unit tests share: how hypothesis runs, and the one flag of golden tests."""

import pytest
from hypothesis import HealthCheck, settings

# How long examples take on a busy machine says nothing of the code.
settings.register_profile("osm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("osm")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite-golden", action="store_true", help="write what comes out now over the golden files")


@pytest.fixture
def rewrite_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite-golden", default=False))
