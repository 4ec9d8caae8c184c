"""`osm demo --check`: what the mesh promises, proven without a person. Steps in, a verdict out.

A step that fails or cannot be made does not stop the next one. What each step asks and how is in `steps`.
"""

import time
from collections.abc import AsyncIterator

import aiohttp
from msgspec import Struct

from osm.bus import BusError
from osm.cli.demo.mesh_status import TooSlow
from osm.cli.demo.stage import Measured, Stage, Step
from osm.cli.demo.steps import steps
from osm.testing.ads_status import StreamEnded


class Result(Struct, frozen=True, kw_only=True):
    """One step's outcome, as `--output json` gives it."""

    name: str
    asked: str
    measured: str
    passed: bool
    seconds: float


async def check(stage: Stage) -> AsyncIterator[Result]:
    """Make every step in turn."""
    for name, step in steps(isolated=stage.isolated):
        started_s = time.monotonic()
        measured = await _make(step, stage)
        yield Result(
            name=name,
            asked=measured.asked,
            measured=measured.measured,
            passed=measured.passed,
            seconds=round(time.monotonic() - started_s, 1),
        )


async def _make(step: Step, stage: Stage) -> Measured:
    """A step that the mesh, its apps or its proxies would not go along with has failed; why is what was measured."""
    try:
        return await step(stage)
    except (TooSlow, BusError, StreamEnded, aiohttp.ClientError, OSError, TimeoutError, LookupError) as error:
        return Measured(asked="the step can be made", measured=f"{type(error).__name__}: {error}", passed=False)
