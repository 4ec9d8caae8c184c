"""`python -m bench.peers`: ours and the peers, as a table and as JSON in bench/results.

Programs are built first (scripts/bench, needs Go). Others on the machine blur times; ratios stand longer.
"""

import argparse
import asyncio
import sys
from datetime import UTC, datetime

from msgspec import structs
from rich.console import Console

from bench.machine import load, this_machine, versions
from bench.peers import page, plan
from bench.peers.istio import IstioPrograms
from bench.peers.result import Comparison, PeerRun
from bench.peers.table import show
from bench.programs import required, version_of
from bench.results_folder import save

GO_CONTROL_PLANE, ISTIO = "go-control-plane", "istio"
PEERS = [GO_CONTROL_PLANE, ISTIO]
STREAMS = (20, 100, 500, 1000)
ROUNDS = 100


def main() -> int:
    asked = _arguments()
    console = Console(width=160)
    programs, peer_versions = _programs(asked.peers)
    load_before = load()
    found = Comparison(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        load_before=load_before,
        versions=versions() | peer_versions,
        settings={"endpoints": asked.rounds},
        runs=(),
    )
    for number in asked.streams:
        runs = _runs(console, number, asked.rounds, programs)
        found = structs.replace(found, runs=found.runs + runs)
        path = save(found, "peers-")  # a long run that is interrupted leaves what it has measured
    show(found, console)
    console.print(f"written: {path}")
    if asked.page:
        for path in page.write(found):
            console.print(f"written: {path}")
    return 0


def _programs(peers: list[str]) -> tuple[plan.Programs, dict[str, str]]:
    """Where they are, and the versions of the peers'."""
    programs, told = plan.Programs(proxies=required("proxies")), {}
    if GO_CONTROL_PLANE in peers:
        program = required("go-control-plane")
        programs = structs.replace(programs, gocontrolplane=program)
        told["go-control-plane"] = version_of(program.parent)
    if ISTIO in peers:
        both = IstioPrograms(istiod=required("istio"), cluster=required("kubernetes"))
        programs = structs.replace(programs, istio=both)
        told |= {"istio": version_of(both.istiod.parent), "kubernetes": version_of(both.cluster)}
    return programs, told


def _runs(console: Console, streams: int, rounds: int, programs: plan.Programs) -> tuple[PeerRun, ...]:
    console.print(f"{streams} proxies …", style="dim")
    return asyncio.run(plan.run(streams, rounds, programs))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", metavar="N", default=STREAMS, help="numbers of proxies")
    parser.add_argument("--peers", nargs="*", choices=PEERS, metavar="PEER", default=PEERS, help=" or ".join(PEERS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N", help="changes in each series")
    parser.add_argument("--page", action="store_true", help="write docs/performance.md's table of peers anew")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
