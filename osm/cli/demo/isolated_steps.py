"""Further steps of the check for the isolated mode: that nobody gets past a sidecar.

Apart because it holds in that mode alone: on a shared loopback an app can dial whatever it likes.
"""

from osm.cli.demo import evidence
from osm.cli.demo.shop import BUYER, STORES, THIEF, WAREHOUSE
from osm.cli.demo.stage import Measured, Stage, Step


async def direct_dial_is_caught(stage: Stage) -> Measured:
    """The explicit mode's open flank: an app that dials another app's own address goes nowhere but to its sidecar."""
    address, reached_before = await stage.inbound(STORES[0]), await evidence.reached(stage, STORES[0])
    callers = (THIEF, BUYER, WAREHOUSE)
    answers = {caller: (await stage.shop.ask_from(caller, address))[0] for caller in callers}
    reached = await evidence.reached(stage, STORES[0]) - reached_before
    return Measured(
        asked="apps that dial the plain port of bookstore-v1 at its own address get no answer, and do not reach it",
        measured="; ".join(f"{caller}: {status or 'no connection'}" for caller, status in answers.items())
        + f"; the app was reached {reached} times",
        passed=reached == 0 and not any(answers.values()),
    )


async def unaware_apps_are_meshed(stage: Stage) -> Measured:
    """No app knows of a proxy; what the buyer sends arrives at the store's sidecar over mutual TLS all the same."""
    processes = stage.board.processes()
    told = sorted(name for name, process in processes.items() if evidence.knows_a_proxy(process.app_pid))
    before = await evidence.arrived(stage)
    burst = await stage.shop.burst(BUYER, 50)
    arrived = await evidence.arrived(stage) - before
    return Measured(
        asked="no app has a proxy variable, and all that the buyer sends passes the stores' sidecars over mutual TLS",
        measured=f"{len(told)} of {len(processes)} apps with a variable; {arrived} requests arrived for 50 sent",
        passed=not told and burst.succeeded == 50 <= arrived,
    )


ISOLATED_STEPS: tuple[tuple[str, Step], ...] = (
    ("a direct dial is caught", direct_dial_is_caught),
    ("unaware apps are meshed", unaware_apps_are_meshed),
)
