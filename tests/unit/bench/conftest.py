"""The program that plays the benchmark's proxies: without Go a test of it is reported as not run, and CI fails."""

from pathlib import Path

import pytest

from bench.programs import NotBuilt, built
from tests.not_run import not_run


@pytest.fixture(scope="session")
def proxies() -> Path:
    try:
        return built("proxies")
    except NotBuilt as why:
        not_run(why)
