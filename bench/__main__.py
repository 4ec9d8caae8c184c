"""`python -m bench`: everything, as tables and as JSON in bench/results. Exit code 1 if a bound is missed.

Others on the machine blur times; ratios to the echo of the same run stand longer.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench import catalog, page, plan, several_workers
from bench.machine import load, this_machine, versions
from bench.programs import required
from bench.result import Result, Run, WorkersRun, missed, missed_by_crew
from bench.results_folder import save
from bench.rounds import Rounds
from bench.table import show

STREAMS = (10, 20, 100, 500, 1000)
QUICK_STREAMS = (20, 200)
ROUNDS = Rounds(endpoints=100, policies=30)
QUICK_ROUNDS = Rounds(endpoints=20, policies=10)


def main() -> int:
    asked = _arguments()
    console = Console(width=140)
    proxies = required("proxies")
    streams = tuple(asked.streams or (QUICK_STREAMS if asked.quick else STREAMS))
    rounds = QUICK_ROUNDS if asked.quick else ROUNDS
    load_before = load()
    result = Result(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        load_before=load_before,
        versions=versions(),
        settings={"quick": asked.quick, "endpoints": rounds.endpoints, "policies": rounds.policies},
        runs=tuple(_run(console, proxies, number, rounds) for number in streams),
        catalog=catalog.thinking() if asked.catalog else (),
        crews=tuple(_crew(console, proxies, number) for number in several_workers.STREAMS)
        if asked.crews and not asked.quick
        else (),
    )
    show(result, console)
    console.print(f"written: {save(result)}")
    if asked.page:
        for path in page.write(result):
            console.print(f"written: {path}")
    return 1 if any(map(missed, result.runs)) or any(map(missed_by_crew, result.crews)) else 0


def _run(console: Console, proxies: Path, streams: int, rounds: Rounds) -> Run:
    console.print(f"{streams} proxies …", style="dim")
    return asyncio.run(plan.run(proxies, streams, rounds))


def _crew(console: Console, proxies: Path, streams: int) -> WorkersRun:
    console.print(f"{streams} proxies, two workers …", style="dim")
    return asyncio.run(several_workers.run(proxies, streams, 2, several_workers.ROUNDS))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer proxies and rounds: within two minutes")
    parser.add_argument("--streams", type=int, nargs="+", metavar="N", help="numbers of proxies")
    parser.add_argument("--no-catalog", dest="catalog", action="store_false", help="leave the catalog's own out")
    parser.add_argument("--no-crews", dest="crews", action="store_false", help="leave several workers over NATS out")
    parser.add_argument("--page", action="store_true", help="write docs/performance.md's tables and curves anew")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
