"""docs/operating.md names every metric there is and no other, by the names that Prometheus shows; so do its alerts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from osm.ads.ending import KINDS
from osm.contracts.problem import Severity
from osm.contracts.status import ProxyState, RolloutState
from services.certmgr.decide import Reason
from services.injector.webhook_server import ANSWERS

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
MONITOR, RULE = yaml.safe_load_all((ROOT / "docs/prometheus.yaml").read_text(encoding="utf-8"))
ALERTS: list[dict[str, Any]] = [rule for group in RULE["spec"]["groups"] for rule in group["rules"]]

NAMED = re.compile(r"\bosm_(?:xds|catalog|meshspec|endpoints|certmgr|injector|bus|k8s)_\w+")
SUFFIXES = {"s": "_seconds", "By": "_bytes", "": ""}
ROW = re.compile(r"^\| (`(?:osm_|up).*?) \|.*\| ([^|]+) \|$", re.MULTILINE)
"""Its metrics, and when to alert, of a row that says so."""

SELECTED = re.compile(r'(\w+)\{(\w+)=~?"([^"]*)"\}')
LABELS = {
    "osm_xds_proxies": get_args(ProxyState),
    "osm_xds_rollouts": get_args(RolloutState),
    "osm_xds_turned_away_total": KINDS,
    "osm_certmgr_refused_total": get_args(Reason),
    "osm_injector_reviews_total": ANSWERS,
    "osm_meshspec_problems": get_args(Severity),
    "osm_endpoints_problems": get_args(Severity),
    "osm_catalog_problems": get_args(Severity),
}


def created() -> Iterator[tuple[str, str]]:
    """Each metric of our code, as Prometheus names it, and its kind."""
    for part in ("osm", "services"):
        for path in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    kind = re.fullmatch(r"create_(?:observable_)?(gauge|counter|histogram)", node.func.attr)
                    if kind:
                        given = [*node.args, *(each.value for each in node.keywords if each.arg == "unit")]
                        name, *rest = [each.value for each in given if isinstance(each, ast.Constant)]
                        unit = next((each for each in rest if each in ("s", "By")), "")
                        assert isinstance(name, str)
                        total = "_total" if kind[1] == "counter" else ""
                        yield name.replace(".", "_") + SUFFIXES[unit] + total, kind[1]


METRICS = dict(created())


def test_the_page_names_every_metric_and_no_other() -> None:
    assert len(METRICS) > 30
    assert set(NAMED.findall(PAGE)) == set(METRICS)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_metrics_and_labels_that_are_there(alert: dict[str, Any]) -> None:
    expression = alert["expr"]
    for name in NAMED.findall(expression):
        base = re.sub(r"_bucket$", "", name)
        assert METRICS.get(base) is not None, name
        assert (METRICS[base] == "histogram") == (base != name), name
        assert (METRICS[base] == "counter") <= (f"increase({name}" in expression or f"({name})" in expression), name
    for metric, _, values in SELECTED.findall(expression):
        if metric in LABELS:
            assert set(values.split("|")) <= set(LABELS[metric]), metric
    assert expression.count("(") == expression.count(")")
    assert alert["labels"]["severity"] in ("warning", "critical")
    assert alert["annotations"]["summary"]


def test_every_row_that_says_when_to_alert_has_its_alert_and_every_alert_its_row() -> None:
    asked = {name for alert in ALERTS for name in re.findall(r"\b(?:osm_\w+|up)\b", alert["expr"])}
    asked = {name.removesuffix("_bucket") for name in asked}
    told = [re.findall(r"`(\w+)`", names) for names, _ in ROW.findall(PAGE)]
    assert len(told) > 15
    assert [names for names in told if not asked.intersection(names)] == []
    assert asked <= {name for names in told for name in names}


def test_alerts_have_names_of_their_own() -> None:
    names = [alert["alert"] for alert in ALERTS]
    assert sorted(set(names)) == sorted(names)


def test_the_monitor_finds_the_port_and_the_token_that_the_chart_makes() -> None:
    services = (ROOT / "deploy/chart/templates/services.yaml").read_text(encoding="utf-8")
    labels = (ROOT / "deploy/chart/templates/_names.tpl").read_text(encoding="utf-8")
    (endpoint,) = MONITOR["spec"]["endpoints"]
    assert f"- name: {endpoint['port']}\n" in services
    assert f"secretName: {endpoint['authorization']['credentials']['name']}\n" in services
    for label, value in MONITOR["spec"]["selector"]["matchLabels"].items():
        assert f"{label}: {value}\n" in labels
