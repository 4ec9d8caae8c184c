"""What is asked of helm, and what is made of its answers. helm is a script."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import typer

from osm.cli.kubernetes.checks.gather import helm_tool
from osm.cli.kubernetes.cluster_options import ClusterOptions
from osm.cli.kubernetes.helm import OLDEST, Release, mesh_name, release_status, version
from osm.cli.kubernetes.install import rendered
from osm.cli.output import CommandError
from tests.unit.cli.conftest import OnPath

DOCS = Path(__file__).parents[3] / "docs"
Helm = Callable[[str], None]


@pytest.fixture
def helm(on_path: OnPath) -> Helm:
    """Put a `helm` of these shell lines first on the PATH."""
    return partial(on_path, "helm")


async def test_a_release_is_told_in_helms_word(helm: Helm) -> None:
    helm("""echo '{"info": {"status": "pending-install"}}'""")
    assert await release_status("osm", ClusterOptions()) == "pending-install"


async def test_no_release_is_not_the_same_as_no_answer(helm: Helm) -> None:
    helm("echo 'Error: release: not found' >&2; exit 1")
    assert await release_status("osm", ClusterOptions()) == ""
    helm("echo 'Error: query: secrets is forbidden' >&2; exit 1")
    with pytest.raises(CommandError, match=r"release \[osm\] in namespace \[home\]: query: secrets is forbidden"):
        await release_status("osm", ClusterOptions(osm_namespace="home"))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("v3.14.2+gc309b6f", (3, 14)),
        ("v4.0.0", (4, 0)),
        ("3.22", (3, 22)),
        ("unknown", None),
        ("", None),
    ],
)
async def test_helm_tells_its_version_or_does_not(helm: Helm, said: str, found: tuple[int, int] | None) -> None:
    helm(f"echo '{said}'")
    assert await version() == found


async def test_a_helm_that_cannot_say_its_version_has_none(helm: Helm) -> None:
    helm("echo v3.22; exit 1")
    assert await version() is None


async def test_the_check_before_an_installation_asks_helm_for_its_version_if_there_is_one(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    helm("""test "$1" = version && echo v3.9.4+gdbc6d8e""")
    tool = await helm_tool()
    assert (tool.is_there, tool.version, tool.oldest) == (True, (3, 9), OLDEST)
    monkeypatch.setenv("PATH", "/nowhere")
    assert (await helm_tool()).is_there is False


def test_the_pages_name_the_oldest_helm() -> None:
    needed = f"{OLDEST[0]}.{OLDEST[1]} or newer"
    for page in ("kubernetes.md", "migrating.md"):
        (said,) = re.findall(r"helm\]?(?:\([^)]*\))? ([\d.]+ or newer)", (DOCS / page).read_text(encoding="utf-8"))
        assert said == needed


@pytest.mark.parametrize(
    ("words", "remedy"),
    [
        ("chart requires kubeVersion: >=1.25.0-0 which is incompatible with Kubernetes v1.20.0", "--kube-version"),
        ("values don't meet the specifications of the schema(s)", "--set and --values"),
    ],
)
async def test_who_renders_is_told_what_to_change_in_the_order(helm: Helm, words: str, remedy: str) -> None:
    helm(f"""echo "Error: {words}\n\nUse --debug flag to render out invalid YAML" >&2; exit 1""")
    with pytest.raises(CommandError) as refused:
        await rendered(Release(mesh="osm", where=ClusterOptions(), chart=Path("chart")), "")
    assert refused.value.what == f"the chart cannot be rendered: {words}"
    assert remedy in refused.value.remedy


@pytest.mark.parametrize("given", ["", "a,osm.image.tag=b", "--debug", "A", "a b", "a" * 54, "a-", "a=b"])
def test_a_mesh_whose_name_is_more_than_a_name_is_refused(given: str) -> None:
    with pytest.raises(typer.BadParameter, match="allowed are lower-case letters"):
        mesh_name(given)


@pytest.mark.parametrize("given", ["osm", "osm-2", "a", "a" * 53])
def test_a_release_may_be_called_so(given: str) -> None:
    assert mesh_name(given) == given
