"""The chart as helm renders it. Without helm a test is reported as not run, and CI fails."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from osm.testing.chart import Helm

Object = Mapping[str, Any]
Render = Callable[..., tuple[Object, ...]]


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> Render:
    """`rendered("osm.meshName=x", …)`: the objects for these values."""

    @cache
    def objects(*settings: str) -> tuple[Object, ...]:
        return tuple(each for each in yaml.safe_load_all(helm.render(*settings)) if each)

    return objects
