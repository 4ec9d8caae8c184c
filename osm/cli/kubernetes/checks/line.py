"""One line of `osm check`: what was looked at, how it is, and what to do."""

from typing import Literal

from msgspec import Struct

Level = Literal["ok", "warning", "error"]


class Line(Struct, frozen=True, kw_only=True):
    """`error`: the mesh does not do what it should; `warning`: it does, but hardly as meant. `area` groups lines."""

    area: str
    level: Level
    what: str
    remedy: str = ""


def ok(area: str, what: str) -> Line:
    return Line(area=area, level="ok", what=what)


def warning(area: str, what: str, remedy: str = "") -> Line:
    return Line(area=area, level="warning", what=what, remedy=remedy)


def error(area: str, what: str, remedy: str = "") -> Line:
    return Line(area=area, level="error", what=what, remedy=remedy)
