"""Which definitions are made, brought up to date, shared or refused, and in which words."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from osm.cli.command_error import CommandError
from osm.cli.kubernetes.chart import chart_path
from osm.cli.kubernetes.defining import bodies, renewed, wanted
from osm.cli.kubernetes.definitions import Definition, judge
from osm.cli.kubernetes.leftovers import CRDS, OWN_GROUPS

OURS = {"app.kubernetes.io/name": "openservicemesh.io"}
WANTED = {each.metadata.name: each for each in wanted(chart_path())}
SPLITS = "trafficsplits.split.smi-spec.io"
CONFIGS = "meshconfigs.config.openservicemesh.io"


def there(
    *served: str,
    name: str = SPLITS,
    labels: dict[str, str] | None = None,
    stored: tuple[str, ...] = (),
    **metadata: Any,
) -> Definition:
    group = name.partition(".")[2]
    versions = [{"name": each, "served": True, "storage": each == served[-1]} for each in served]
    found = {
        "metadata": {"name": name, "labels": OURS if labels is None else labels, **metadata},
        "spec": {"group": group, "versions": versions},
        "status": {"storedVersions": stored or served[-1:]},
    }
    return msgspec.convert(found, Definition)


def test_the_mesh_reads_of_each_kind_the_version_that_the_chart_stores() -> None:
    assert {str(each.kind): each.kind.version for each in WANTED.values()} == {str(each): each.version for each in CRDS}


def test_a_chart_of_which_a_definition_cannot_be_read_is_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "crds").mkdir()
    (tmp_path / "crds" / "a.yaml").write_text("spec: {}\nspec: [\n")
    with pytest.raises(CommandError) as refused:
        bodies(tmp_path)
    assert f"{tmp_path}/crds/a.yaml:" in refused.value.what


def test_a_missing_definition_is_made() -> None:
    assert judge(None, WANTED[SPLITS]).step == "make"


@pytest.mark.parametrize(
    "found",
    [there("v1alpha2"), there("v1alpha2", "v1alpha4"), there("v1alpha1", "v1alpha2", stored=("v1alpha2",))],
)
def test_ours_is_brought_up_to_date(found: Definition) -> None:
    assert judge(found, WANTED[SPLITS]).step == "update"


def test_a_kind_of_osm_alone_is_ours_without_a_label() -> None:
    assert "config.openservicemesh.io" in OWN_GROUPS
    assert judge(there("v1alpha1", name=CONFIGS, labels={}), WANTED[CONFIGS]).step == "update"


def test_somebody_elses_is_shared_if_it_serves_what_the_mesh_reads() -> None:
    verdict = judge(there("v1alpha2", "v1alpha4", labels={}), WANTED[SPLITS])
    assert verdict.step == "leave"
    assert verdict.what == f"CRD {SPLITS} is of another origin; the mesh shares it"


def test_somebody_elses_that_will_not_do_is_refused_with_whose_it_is_what_is_needed_and_what_to_do() -> None:
    verdict = judge(there("v1alpha1", "v1alpha2", labels={"app.kubernetes.io/name": "flagger"}), WANTED[SPLITS])
    assert verdict.step == "refuse"
    assert verdict.what == f'CRD {SPLITS} is of another origin ("flagger") and serves v1alpha1, v1alpha2, not v1alpha4'
    assert f"kubectl label crd {SPLITS} --overwrite app.kubernetes.io/name=openservicemesh.io" in verdict.remedy
    by_helm = there("v1alpha2", labels={}, annotations={"meta.helm.sh/release-name": "smi"})
    assert 'of another origin ("smi")' in judge(by_helm, WANTED[SPLITS]).what


def test_a_version_in_which_objects_are_stored_is_never_dropped() -> None:
    verdict = judge(there("v1alpha1", "v1alpha2", stored=("v1alpha1", "v1alpha2")), WANTED[SPLITS])
    assert verdict.step == "refuse"
    assert verdict.what == f"CRD {SPLITS} has objects stored as v1alpha1, which this version does not know"
    assert "store them as v1alpha2" in verdict.remedy
    assert """--subresource=status --type=merge -p '{"status":{"storedVersions":["v1alpha2"]}}'""" in verdict.remedy


def test_a_store_in_an_unknown_version_is_changed_first_or_given_up() -> None:
    verdict = judge(there("v1alpha2", "v1alpha1"), WANTED[SPLITS])
    assert verdict.remedy.startswith(f"kubectl edit crd {SPLITS}: storage: true at v1alpha2 alone; then store them")
    verdict = judge(there("v1alpha1"), WANTED[SPLITS])
    assert "saves them, write them anew as v1alpha4; kubectl delete crd" in verdict.remedy


def test_a_newer_definition_of_ours_is_not_set_back() -> None:
    assert judge(there("v1alpha4", "v1beta1"), WANTED[SPLITS]).step == "leave"
    verdict = judge(there("v1beta1", "v1"), WANTED[SPLITS])
    assert (verdict.step, verdict.what) == (
        "refuse",
        f"CRD {SPLITS} is a newer OSM's and serves v1beta1, v1, not v1alpha4",
    )


def test_a_definition_that_is_being_deleted_is_waited_for() -> None:
    verdict = judge(there("v1alpha4", deletionTimestamp="2026-01-01T00:00:00Z"), WANTED[SPLITS])
    assert (verdict.step, f"kubectl wait --for=delete crd/{SPLITS}" in verdict.remedy) == ("refuse", True)


def test_what_others_marked_on_a_definition_stays_and_their_conversion_goes() -> None:
    body = next(each for each in bodies(chart_path()) if each["metadata"]["name"] == SPLITS)
    was: dict[str, dict[str, Any]] = {
        "metadata": {"name": SPLITS, "resourceVersion": "7", "labels": {"team": "a"}, "annotations": {"x": "y"}},
        "spec": {"conversion": {"strategy": "Webhook", "webhook": {}}},
    }
    now = renewed(was, body)
    assert now["metadata"] == {**was["metadata"], "labels": {"team": "a", **OURS}}
    assert now["spec"] == body["spec"]
    assert now["spec"]["conversion"] == {"strategy": "None"}
