"""The chart as helm renders it. Without helm a test is reported as not run, and CI fails."""

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from osm.cli.kubernetes.chart import chart_path
from osm.testing.chart import Helm, NoHelm, find_helm

Object = Mapping[str, Any]
Render = Callable[..., tuple[Object, ...]]


@pytest.fixture(scope="session")
def helm() -> Helm:
    try:
        return Helm(program=find_helm(), chart=chart_path())
    except NoHelm as why:
        if os.environ.get("CI") == "true":
            pytest.fail(str(why))
        pytest.skip(f"not run: {why}")


@pytest.fixture(scope="session")
def rendered(helm: Helm) -> Render:
    """`rendered("osm.meshName=x", …)`: the objects for these values."""

    @cache
    def objects(*settings: str) -> tuple[Object, ...]:
        return tuple(each for each in yaml.safe_load_all(helm.render(*settings)) if each)

    return objects
