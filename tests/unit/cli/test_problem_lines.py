"""Problems get the place that the object's reader knows."""

from osm.cli.problem_lines import object_problems
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import FileStatus, ObjectStatus

REF = ObjectRef("TrafficTarget", "shop", "web")
READ = ObjectStatus(
    subject=REF, file="a.yaml", lines=(("", 3), ("spec", 7), ("spec.rules", 9), ("spec.rules[0]", 10), ("spec.ru", 99))
)


def found_at(field: str) -> tuple[str | None, int | None]:
    judged = ObjectStatus(subject=REF, problems=(Problem(subject=REF, field=field, what="no such group"),))
    (problem,) = object_problems([judged, READ], [])
    return problem.file, problem.line


def test_a_problem_stands_where_its_field_does() -> None:
    assert found_at("spec.rules[0]") == ("a.yaml", 10)


def test_a_field_that_is_not_there_stands_where_what_should_hold_it_does() -> None:
    assert found_at("spec.rules[0].name") == ("a.yaml", 10)
    assert found_at("spec.rules[12]") == ("a.yaml", 9)
    assert found_at("spec.sources[0].name") == ("a.yaml", 7)
    assert found_at("") == ("a.yaml", 3)


def test_a_place_that_was_said_is_kept() -> None:
    own = Problem(subject=REF, field="spec", what="wrong", file="b.yaml", line=1)
    lines = [READ, ObjectStatus(subject=REF, problems=(own,))]
    assert object_problems(lines, [FileStatus(file="c.yaml", problems=(Problem(what="not YAML", file="c.yaml"),))]) == [
        Problem(subject=REF, field="spec", what="wrong", file="b.yaml", line=1),
        Problem(what="not YAML", file="c.yaml"),
    ]


def test_an_object_that_comes_from_no_file_has_no_place() -> None:
    judged = ObjectStatus(subject=REF, problems=(Problem(subject=REF, field="spec", what="wrong"),))
    assert [problem.file for problem in object_problems([judged], [])] == [None]
