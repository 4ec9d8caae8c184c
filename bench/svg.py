"""Curves as SVG: a few lines over a logarithmic number of proxies. Pure text, so that a result draws the same twice.

Colours and type follow the reader's light or dark theme. It draws what it is given and knows no benchmark.
"""

from html import escape
from math import ceil, floor, log10

from msgspec import Struct

WIDTH, HEIGHT = 640, 340
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 44, 48
COLOURS = ("#0b7285", "#e8590c", "#868e96", "#5f3dc4")
"""Told apart by lightness too; the grey is for the yardstick."""

STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#343a40}.title{font-size:14px;font-weight:600}"
    ".grid{stroke:#868e96;stroke-opacity:.25}"
    "@media(prefers-color-scheme:dark){text{fill:#ced4da}}"
)


class Line(Struct, frozen=True, kw_only=True):
    """A named curve through points; x and y are above 0."""

    name: str
    points: tuple[tuple[float, float], ...]


def chart(title: str, lines: tuple[Line, ...], *, x_title: str, log_y: bool = False) -> str:
    """An SVG document. Raises ValueError when there is nothing to draw."""
    xs = sorted({x for line in lines for x, _ in line.points})
    ys = [y for line in lines for _, y in line.points]
    if not xs:
        raise ValueError(f"{title}: a chart needs a point")
    across = _Scale(log10(xs[0]), log10(xs[-1]), LEFT, WIDTH - RIGHT)
    ticks = _log_ticks(min(ys), max(ys)) if log_y else _ticks(max(ys))
    up = _Scale(_y(ticks[0], log_y=log_y), _y(ticks[-1], log_y=log_y), HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        _text(LEFT, 20, title, css="title"),
        *(_grid(up.at(_y(tick, log_y=log_y)), f"{tick:g}") for tick in ticks),
        *(_text(across.at(log10(x)), HEIGHT - BOTTOM + 18, f"{x:g}", anchor="middle") for x in xs),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, x_title, anchor="middle"),
    ]
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        points = [(across.at(log10(x)), up.at(_y(y, log_y=log_y))) for x, y in line.points]
        parts.append(_curve(points, colour))
        parts.append(_legend(number, line.name, colour))
    return "\n".join([*parts, "</svg>", ""])


class _Scale(Struct, frozen=True):
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.start + share * (self.end - self.start)


def _y(value: float, *, log_y: bool) -> float:
    return log10(value) if log_y else value


def _ticks(most: float) -> tuple[float, ...]:
    """0 and up to five round steps that cover `most`."""
    rough = most / 4 or 1.0
    unit = 10 ** floor(log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    return tuple(step * at for at in range(ceil(most / step) + 1))


def _log_ticks(least: float, most: float) -> tuple[float, ...]:
    """Powers of ten around all values."""
    low, high = floor(log10(least)), max(ceil(log10(most)), floor(log10(least)) + 1)
    return tuple(10.0**power for power in range(low, high + 1))


def _curve(points: list[tuple[float, float]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}'


def _legend(number: int, name: str, colour: str) -> str:
    y = TOP + 6 + 18 * number
    return f'<rect x="{LEFT + 12}" y="{y - 5}" width="14" height="3" fill="{colour}"/>' + _text(LEFT + 32, y, name)


def _grid(y: float, label: str) -> str:
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return line + _text(LEFT - 8, y + 4, label, anchor="end")


def _text(x: float, y: float, text: str, *, anchor: str = "start", css: str = "") -> str:
    kind = f' class="{css}"' if css else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>{escape(text)}</text>'
