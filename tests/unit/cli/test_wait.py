"""What `osm wait` refuses before it asks any mesh: nothing of what it is told will ever be in force."""

import pytest
import typer
from typer.testing import CliRunner

from osm.cli.main import app
from osm.cli.wait import waited_for


@pytest.mark.parametrize("kind", ["TrafficSplit", "trafficsplits", "retries", "Egresses", "service", "meshconfig"])
def test_every_kind_that_proxies_are_told_of_is_waited_for_in_singular_and_plural(kind: str) -> None:
    assert waited_for(kind, "shop/x") == ("shop", "x")


@pytest.mark.parametrize("kind", ["deployment", "Pod", "trafficspilt", "", "shop/x"])
def test_an_unknown_kind_is_refused_with_the_kinds_there_are(kind: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"allowed are Egress, .*, Service, .*, UpstreamTrafficSetting") as end:
        waited_for(kind, "shop/x")
    assert f'found "{kind}"' in end.value.message


def test_a_misspelt_kind_is_told_the_nearest() -> None:
    with pytest.raises(typer.BadParameter, match=r"did you mean `TrafficSplit`"):
        waited_for("TrafficSpilt", "shop/x")


@pytest.mark.parametrize("name", ["x", "/x", "shop/", "a/b/c", ""])
def test_a_name_without_its_namespace_is_refused(name: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"allowed is its namespace and its name"):
        waited_for("trafficsplit", name)


@pytest.mark.parametrize("words", [("deployment", "shop/x"), ("trafficsplit", "x"), ("trafficsplit",), ("shop/x",)])
def test_what_is_asked_wrongly_ends_with_2_and_no_mesh_is_looked_for(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["wait", *words, "--bus", "unix:/nowhere"])
    assert done.exit_code == 2
    assert "/nowhere" not in done.output
