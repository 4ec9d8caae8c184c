"""What the live terminal does when a key cannot be obeyed: it says so, and goes on."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from osm.cli.demo.live import LiveDemo, Quit
from osm.cli.demo.manifest_copy import ManifestCopy
from osm.cli.demo.mesh_status import MeshStatus
from osm.cli.demo.stage import Stage


class AppAway(LiveDemo):
    """Its thief's app is just being started."""

    async def _thief(self) -> None:
        raise LookupError("the app of bookthief-0.bookthief is not running")


async def test_an_app_that_is_away_does_not_end_the_demo(tmp_path: Path) -> None:
    nothing = cast(Any, None)
    workshop = ManifestCopy(tmp_path)
    stage = Stage(bus=nothing, board=MeshStatus(), shop=nothing, workshop=workshop, run_folder=tmp_path, xds="")
    demo = AppAway(stage)
    for key in ("t", "k", "?", "q"):
        demo._keys.put_nowait(key)
    async with asyncio.timeout(5):
        with pytest.raises(Quit):
            await demo._obey()
    assert [line for line in demo._story if "is not running" in line] == [
        "[red]the app of bookthief-0.bookthief is not running[/]",
        "[yellow]bookstore-v1-0.bookstore is not running[/]",
    ]
