"""What docs/operating.md says of going back: what helm keeps of a release and what it has never had."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from osm.testing.chart import Helm
from tests.unit.chart.conftest import Render

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"^helm (.+)$", PAGE, re.MULTILINE)
IN_NO_RELEASE = {"CustomResourceDefinition", "MeshConfig", "Secret"}


@pytest.mark.parametrize("settings", [(), ("osm.nats.replicaCount=3", "osm.enableEgress=false")], ids=len)
def test_what_a_rollback_leaves_as_it_is_is_in_no_release(settings: tuple[str, ...], rendered: Render) -> None:
    kinds = {each["kind"] for each in rendered(*settings)}
    assert {"Deployment", "StatefulSet", "MutatingWebhookConfiguration", "Job"} <= kinds
    assert kinds & IN_NO_RELEASE == set()


def test_a_rollback_has_all_of_a_release_to_go_back_to(rendered: Render) -> None:
    """Hooks are no part of what helm applies again, and what it is told to keep it does not take away."""
    marks = {mark for each in rendered() for mark in each["metadata"].get("annotations", {})}
    assert [mark for mark in marks if mark.startswith("helm.sh/")] == []


def test_each_revision_makes_what_is_missing_by_a_job_of_its_own(helm: Helm) -> None:
    """One that has run cannot be changed: a rollback has to bring the older one's under its own name."""
    names = re.findall(r"name: (osm-prepare-\d+-\w+)$", helm.render(), re.MULTILINE)
    assert [name.split("-")[2] for name in names] == ["1"]


@pytest.mark.parametrize("words", SHOWN)
def test_helm_has_the_verbs_and_options_that_the_page_shows(words: str, helm: Helm) -> None:
    verb, *rest = shlex.split(words)
    told = subprocess.run([helm.program, verb, "--help"], capture_output=True, text=True, check=True).stdout
    assert f"helm {verb} " in told
    for option in (each for each in rest if each.startswith("-")):
        assert re.search(rf"(?:^|\s){re.escape(option)}[,\s]", told)


def test_the_page_shows_how_to_go_back() -> None:
    assert [words.split()[0] for words in SHOWN] == ["history", "rollback"]
