"""What the live terminal shows, drawn from values. Pure: no clock, no keys, no bus."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from osm.cli.demo.traffic import Rate
from osm.contracts.problem import Problem
from osm.contracts.status import ProcessStatus, ProxyStatus


class Scene(Struct, frozen=True, kw_only=True):
    """Everything on the screen."""

    folder: str
    up_s: float
    permissive: bool
    proxies: Sequence[ProxyStatus]
    processes: Mapping[str, ProcessStatus]
    rates: Sequence[Rate]
    asked: Mapping[str, int]
    observed: Mapping[str, float] | None
    turned_away: Mapping[str, int]
    problems: Sequence[Problem] = ()
    story: Sequence[str] = ()
    """Lines about the last action, in rich's markup."""
    hints: Sequence[str] = ()


KEYS = (("t", "thief"), ("s", "split"), ("p", "permissive"), ("k", "kill a bookstore"), ("q", "quit"))


def draw(scene: Scene) -> RenderableType:
    """The screen, top to bottom: how the mesh is, who calls whom, the split, the proxies, what just happened."""
    parts: list[RenderableType] = [_head(scene), "", _calls(scene), "", _split(scene), "", _proxies(scene)]
    if scene.problems:
        parts += ["", *(Text.from_markup(f"[red]{escape(str(problem))}[/]") for problem in scene.problems)]
    if scene.story:
        parts += ["", *(Text.from_markup(line) for line in scene.story)]
    parts += ["", *(Text.from_markup(f"[dim]{line}[/]") for line in scene.hints), _keys()]
    return Group(*parts)


def _head(scene: Scene) -> Text:
    synced = sum(proxy.state == "synced" for proxy in scene.proxies)
    minutes, seconds = divmod(int(scene.up_s), 60)
    mode = "[yellow]permissive: everyone may call everyone[/]" if scene.permissive else "policies are enforced"
    colour = "green" if synced == len(scene.proxies) else "yellow"
    return Text.from_markup(
        f"[bold]bookstore mesh[/]   [{colour}]{synced} of {len(scene.proxies)} proxies in sync[/]   {mode}   "
        f"[dim]up {minutes}:{seconds:02}[/]"
    )


def _calls(scene: Scene) -> RenderableType:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (
        ("WHO CALLS", "left"),
        ("WHOM", "left"),
        ("RATE", "right"),
        ("SUCCESS", "right"),
        ("P50", "right"),
        ("P99", "right"),
    ):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]  # two of rich's literals
    for rate in scene.rates:
        grid.add_row(
            rate.edge.source,
            rate.edge.service,
            f"{rate.per_s:.1f}/s",
            _share(rate.success),
            _ms(rate.p50_ms),
            _ms(rate.p99_ms),
        )
    for workload, count in sorted(scene.turned_away.items()):
        grid.add_row(workload, "[red]denied[/]", f"[red]{count}[/]", "[red]in all[/]", "", "")
    return grid


def _split(scene: Scene) -> Text:
    total = sum(scene.asked.values()) or 1
    asked = "  ".join(f"{_bare(name)} {round(100 * weight / total)} %" for name, weight in scene.asked.items())
    if scene.observed is None:
        seen = "no requests yet"
    else:
        seen = "  ".join(f"{_bare(name)} {round(100 * scene.observed.get(name, 0.0))} %" for name in scene.asked)
    return Text.from_markup(f"[bold]SPLIT of bookstore[/]   asked: {asked}   observed: {seen}")


def _bare(service: str) -> str:
    return service.rpartition("/")[2]


def _proxies(scene: Scene) -> RenderableType:
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("PROXY", "IDENTITY", "STATE", "PROCESS"):
        grid.add_column(name)
    for proxy in scene.proxies:
        process = scene.processes.get(proxy.proxy_id)
        colour = "green" if proxy.state == "synced" else "yellow"
        grid.add_row(
            proxy.proxy_id,
            str(proxy.identity),
            f"[{colour}]{proxy.state}[/]{escape(f' ({proxy.why})') if proxy.why else ''}",
            _process(process),
        )
    return grid


def _process(process: ProcessStatus | None) -> str:
    if process is None:
        return "-"
    restarts = f", restarted {process.restarts}x" if process.restarts else ""
    colour = "green" if process.state == "ready" else "red"
    return f"[{colour}]{process.state}[/]{restarts}"


def _keys() -> Text:
    return Text.from_markup("   ".join(f"[bold reverse] {key} [/] {what}" for key, what in KEYS))


def _share(share: float | None) -> str:
    if share is None:
        return "-"
    colour = "green" if share >= 0.999 else "yellow" if share > 0.5 else "red"
    return f"[{colour}]{100 * share:.4g} %[/]"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.2g} ms"
