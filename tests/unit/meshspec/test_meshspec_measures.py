"""What meshspec shows to who scrapes it."""

from collections.abc import Callable

from osm.contracts.policy import Mesh
from osm.contracts.problem import Problem
from services.meshspec.app import Measures
from services.meshspec.state import Objects, Picture


def test_policies_in_force_and_problems_are_those_of_the_last_picture(scraped: Callable[..., float | None]) -> None:
    measures = Measures()
    found = Objects(kept={}, problems=(Problem(what="not YAML"), Problem(what="old", severity="warning")))
    measures.edit(Picture(found=found, documents={"mesh": Mesh()}, problems=(Problem(what="another"),)), 0.5)
    assert scraped("osm_meshspec_objects") == 1
    assert scraped("osm_meshspec_problems", severity="error") == 2
    assert scraped("osm_meshspec_problems", severity="warning") == 1
    measures.edit(Picture(found=Objects(kept={}), documents={}), 0.5)
    assert scraped("osm_meshspec_problems", severity="error") == 0
    assert scraped("osm_meshspec_edit_seconds_count") == 2
