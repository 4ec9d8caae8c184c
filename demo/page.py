"""The one page layout of the demo's apps: a headline, large figures, and tables; no script, no assets.

Pure: values in, HTML out. It reloads itself once a second, which a browser does without flicker.
"""

from collections.abc import Mapping
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --paper: #f6f7f9; --card: #fff; --line: #dde2e8; --bar: #3b7dd8 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6eaef; --paper: #14191f; --card: #1d242c; --line: #323c47; --bar: #6aa5f2 } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2rem 1.25rem; max-width: 44rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.5rem } h2 { margin: 1.75rem 0 .5rem; font-size: 1rem }
.lead { margin: .25rem 0 1.5rem; opacity: .75 }
.figures { display: flex; flex-wrap: wrap; gap: .75rem }
.figure { flex: 1 1 9rem; padding: .75rem 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .5rem }
.figure b { display: block; font-size: 1.75rem; line-height: 1.2; font-variant-numeric: tabular-nums }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line) }
td { padding: .4rem .75rem; border-top: 1px solid var(--line); font-variant-numeric: tabular-nums }
td:nth-child(2) { width: 6rem; text-align: right } td:nth-child(3) { width: 45% }
.bar { height: .6rem; border-radius: .3rem; background: var(--bar) }
footer { margin-top: 2rem; font-size: .85rem; opacity: .75 }
"""


def render(
    *,
    title: str,
    lead: str,
    figures: Mapping[str, int | str],
    tables: Mapping[str, Mapping[str, int]],
) -> str:
    """Return a whole page: `figures` large at the top, each of `tables` with a bar beside every count."""
    cards = "".join(
        f'<div class="figure"><b>{escape(_grouped(value))}</b>{escape(name)}</div>' for name, value in figures.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta http-equiv="refresh" content="1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>"
        f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p><div class="figures">{cards}</div>'
        + "".join(_table(name, counts) for name, counts in tables.items())
        + '<footer><a href="/raw">the same as JSON</a></footer></body></html>'
    )


def _table(name: str, counts: Mapping[str, int]) -> str:
    if not counts:
        return ""
    whole = max(sum(counts.values()), 1)
    rows = "".join(
        f"<tr><td>{escape(key)}</td><td>{_grouped(count)}</td>"
        f'<td><div class="bar" style="width:{100 * count / whole:.1f}%"></div></td></tr>'
        for key, count in sorted(counts.items())
    )
    return f"<h2>{escape(name)}</h2><table>{rows}</table>"


def _grouped(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value
