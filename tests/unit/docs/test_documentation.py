"""The pages of docs/: every example is valid, every link leads somewhere, and what is listed is what there is."""

import re
from pathlib import Path

import pytest

from osm.cli.policy import judged
from osm.contracts.names import Address
from osm.manifests import explicit_ports, workloads
from osm.manifests.yaml import read
from osm.smi import groups, is_policy, meshconfig
from services.local.environment import Facts, known_fields, platform

ROOT = Path(__file__).parents[3]
PAGES = sorted((ROOT / "docs").glob("*.md"))
EXAMPLE = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def by_name(path: Path) -> str:
    return path.name


def anchors(text: str) -> set[str]:
    """How forges name headings: lower-case, words joined by `-`, punctuation dropped."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(text)}


def test_there_are_examples_to_check() -> None:
    assert sum(len(EXAMPLE.findall(path.read_text(encoding="utf-8"))) for path in PAGES) >= 5


@pytest.mark.parametrize("path", PAGES, ids=by_name)
def test_every_example_is_valid_and_refers_to_what_the_page_shows(path: Path, tmp_path: Path) -> None:
    for number, example in enumerate(EXAMPLE.findall(path.read_text(encoding="utf-8"))):
        (tmp_path / f"{path.stem}-{number}.yaml").write_text(example)
    assert [str(problem) for problem in judged(tmp_path).problems] == []


@pytest.mark.parametrize("path", PAGES, ids=by_name)
def test_every_object_in_an_example_is_of_a_kind_we_read(path: Path) -> None:
    for example in EXAMPLE.findall(path.read_text(encoding="utf-8")):
        found = read(example, path.name)
        assert found.documents
        assert [str(problem) for problem in found.problems] == []
        for document in found.documents:
            parsed = workloads.parse(document)
            assert is_policy(document) or parsed is not None, document.kind
            assert parsed is None or parsed.problems == ()


@pytest.mark.parametrize("path", PAGES, ids=by_name)
def test_every_link_leads_to_a_file_and_a_heading(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target, anchor in LINK.findall(text):
        if target.startswith("http"):
            continue
        linked = (path.parent / target).resolve() if target else path
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_the_environment_page_lists_every_variable_and_no_other() -> None:
    facts = Facts(name="a-0", namespace="b", account="c", labels={}, annotations={}, app_host="127.77.0.2", node="n")
    told = platform(facts, Address("127.77.0.3", 15001), "127.77.0.3", (8080,), {("demo", "hello", 8080): 20001})
    assert explicit_ports.variable(("demo", "hello", 8080)) in told
    general = {re.sub(r"^(OSM_BIND_PORT_).*", r"\1<port>", name) for name in told}
    general = {re.sub(r"^(OSM_UPSTREAM_).*", r"\1<NAMESPACE>_<SERVICE>_<PORT>", name) for name in general}
    text = page("process-platform.md")
    table = text.partition("## What an app finds in its environment")[2].partition("\n\nThen come")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([^`]+)`", row)} == general


def test_the_environment_page_lists_every_field_that_can_be_told() -> None:
    facts = Facts(name="a-0", namespace="b", account="c", labels={}, annotations={}, app_host="127.77.0.2", node="n")
    sentence = page("process-platform.md").partition("`fieldRef` knows ")[2].partition(".\n\n")[0]
    assert sorted(re.findall(r"`([^`]+)`", sentence)) == sorted(known_fields(facts))


def test_kinds_that_are_not_enforced_are_named_as_such() -> None:
    text = page("policies.md").replace("\n", " ")
    said = text.partition("The same holds for the kind ")[2].partition(":")[0]
    idle = {name for kinds in groups.GROUPS.values() for name, kind in kinds.items() if not kind.enforced}
    assert set(re.findall(r"[A-Z]\w+", said)) == idle


IDLE = {
    *("sidecar.envoyWindowsImage", "sidecar.configResyncInterval"),
    *("observability.osmLogLevel", "observability.enableDebugServer"),
    "certificate.certKeyBitSize",
}
"""Fields of a MeshConfig that change nothing here. So do its feature flags."""


def test_the_table_of_a_mesh_configs_fields_has_all_that_have_an_effect_and_no_other() -> None:
    table = page("policies.md").partition("| field below `spec` |")[2].partition("\n\n")[0]
    told = set[str]()
    for row in (line.split("|")[1] for line in table.splitlines() if line.startswith("| `")):
        first, *others = re.findall(r"`([^`]+)`", row)
        section, _, _ = first.partition(".")
        told |= {first, *(f"{section}.{name}" for name in others)}
    sections = ("sidecar", "traffic", "observability", "certificate")
    known = {f"{one}.{name}" for one in sections for name in getattr(meshconfig.Spec(), one).__struct_encode_fields__}
    assert told == known - IDLE
