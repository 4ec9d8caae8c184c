from xml.etree import ElementTree

import pytest

from bench.svg import Line, chart

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*lines: Line, log_y: bool = False) -> ElementTree.Element:
    return ElementTree.fromstring(chart("a <title>", lines, x_title="x", log_y=log_y))


def heights(svg: ElementTree.Element) -> list[float]:
    return [float(dot.attrib["cy"]) for dot in svg.iter(f"{SVG}circle")]


def test_a_chart_is_well_formed_whatever_its_title_says() -> None:
    svg = drawn(Line(name="p&q", points=((10, 1.0), (1000, 2.0))))
    assert svg.findtext(f"{SVG}title") == "a <title>"
    assert "p&q" in [text.text for text in svg.iter(f"{SVG}text")]


def test_what_is_more_is_higher_and_every_point_is_drawn() -> None:
    low, high = heights(drawn(Line(name="a", points=((10, 1.0), (1000, 7.0)))))
    assert high < low


def test_a_logarithmic_chart_gives_each_decade_the_same_height() -> None:
    one, ten, hundred = heights(drawn(Line(name="a", points=((1, 1.0), (2, 10.0), (3, 100.0))), log_y=True))
    assert one - ten == pytest.approx(ten - hundred, abs=0.2)


def test_everything_stays_inside_the_picture() -> None:
    for log_y in (False, True):
        svg = drawn(Line(name="a", points=((1, 0.3), (5000, 987.6))), log_y=log_y)
        assert all(0 < height < 340 for height in heights(svg))


def test_a_single_point_can_be_drawn() -> None:
    assert len(heights(drawn(Line(name="a", points=((20, 5.0),))))) == 1


def test_a_chart_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a point"):
        chart("empty", (Line(name="a", points=()),), x_title="x")
