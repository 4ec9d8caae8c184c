"""The steps of `osm demo --check`: each asks something of the mesh, measures it, and says whether it holds.

Every step leaves the mesh as it found it.
"""

import asyncio
import time

from osm.cli.demo import evidence
from osm.cli.demo.binomial import interval
from osm.cli.demo.direct_request import ask_plain, ask_tls
from osm.cli.demo.isolated_steps import ISOLATED_STEPS
from osm.cli.demo.mesh_status import PATIENCE_S
from osm.cli.demo.shop import BUY, BUYER, STORES, THIEF, WAREHOUSE, WORKLOADS, Burst, turned_away
from osm.cli.demo.stage import Change, Measured, Stage, Step
from osm.cli.demo.stolen_certificate import steal
from osm.contracts.names import ServiceName

STORE_V1 = ServiceName("bookstore", "bookstore-v1")


async def buyer_buys(stage: Stage) -> Measured:
    burst = await stage.shop.burst(BUYER, 300)
    return Measured(
        asked="every request of the bookbuyer succeeds, at least 200 of them",
        measured=_success(burst),
        passed=burst.requests >= 200 and burst.succeeded == burst.requests,
    )


async def thief_is_refused(stage: Stage) -> Measured:
    burst = await stage.shop.burst(THIEF, 100)
    return Measured(
        asked=f"every request of the bookthief gets {_refusal(stage)}",
        measured=f"{_refusal(stage)} for {burst.turned_away} of {burst.requests}",
        passed=burst.turned_away == burst.requests,
    )


async def stolen_certificate_is_refused(stage: Stage) -> Measured:
    """The proof of access control is at the server: its sidecar answers, its app hears nothing."""
    credential = await steal(stage.xds, THIEF, stage.home(THIEF), await stage.roots_pem())
    address = await stage.inbound(STORES[0])
    denied_before, reached_before = await evidence.denied(stage, STORES[0]), await evidence.reached(stage, STORES[0])
    replies = [await ask_tls(address, STORE_V1, f"{BUY}?stolen", credential) for _ in range(5)]
    denied = await evidence.denied(stage, STORES[0]) - denied_before
    reached = await evidence.reached(stage, STORES[0]) - reached_before
    refused = sum(reply.status == 403 for reply in replies)
    return Measured(
        asked="the thief's valid certificate straight at bookstore-v1's sidecar: 403 by its RBAC, app not reached",
        measured=f"403 for {refused} of {len(replies)}, RBAC counted {denied}, the app was reached {reached} times",
        passed=refused == len(replies) == denied and reached == 0,
    )


async def bookstore_restocks(stage: Stage) -> Measured:
    before = int((await stage.shop.raw(WAREHOUSE))["books_restocked"])
    await stage.shop.burst(BUYER, 50)
    deadline = time.monotonic() + PATIENCE_S
    delivered = 0
    while delivered < 50 and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
        delivered = int((await stage.shop.raw(WAREHOUSE))["books_restocked"]) - before
    return Measured(
        asked="the bookstore restocks from the warehouse: 50 books sold, at least 50 delivered",
        measured=f"{delivered} delivered",
        passed=delivered >= 50,
    )


def split_is_kept(first: int, second: int, requests: int = 1000) -> Step:
    """The step for one pair of weights."""

    async def step(stage: Stage) -> Measured:
        async with stage.changed(stage.workshop.split((first, second))):
            burst = await stage.shop.burst(BUYER, requests)
        served = burst.identities.get("bookstore-v1", 0)
        low, high = interval(burst.requests, first / (first + second))
        return Measured(
            asked=f"weights {first}/{second} over {requests} requests: {low} to {high} by v1 (99.9999 % interval)",
            measured=f"{served} by v1, {burst.identities.get('bookstore-v2', 0)} by v2, {_success(burst)}",
            passed=low <= served <= high and burst.succeeded == burst.requests == requests,
        )

    return step


async def target_admits_and_shuts_out(stage: Stage) -> Measured:
    admit = stage.workshop.toggle_thief()
    let_in = await stage.make_and_see(admit, THIEF, lambda status: status == 200)
    inside = await stage.shop.burst(THIEF, 50)
    shut_out = await stage.make_and_see(admit.undone(), THIEF, turned_away)
    outside = await stage.shop.burst(THIEF, 50)
    return Measured(
        asked="a TrafficTarget lets the thief in, its removal shuts it out",
        measured=f"in: {_times(let_in)}; out: {_times(shut_out)}",
        passed=inside.succeeded == inside.requests and _is_out(stage, outside),
    )


async def strangers_are_refused(stage: Stage) -> Measured:
    """Nobody gets an HTTP answer without a certificate of this mesh, and the app hears of none."""
    address, reached_before = await stage.inbound(STORES[0]), await evidence.reached(stage, STORES[0])
    replies = {
        "plaintext": await ask_plain(address, STORE_V1, BUY),
        "another CA's certificate": await ask_tls(address, STORE_V1, BUY, evidence.forged()),
        "no certificate": await ask_tls(address, STORE_V1, BUY, None),
    }
    reached = await evidence.reached(stage, STORES[0]) - reached_before
    answered = {what: reply.status for what, reply in replies.items() if reply.status is not None}
    return Measured(
        asked="plaintext, another CA's certificate and no certificate are refused at a sidecar's inbound port",
        measured="; ".join(f"{what}: {reply.status or 'refused'}" for what, reply in replies.items()),
        passed=not answered and reached == 0,
    )


async def permissive_mode_lets_all_in(stage: Stage) -> Measured:
    """Still over mutual TLS: what has no certificate stays out."""
    on = stage.workshop.permissive(wanted=True)
    let_in = await stage.make_and_see(on, THIEF, lambda status: status == 200)
    inside = await stage.shop.burst(THIEF, 50)
    plain = await ask_plain(await stage.inbound(STORES[0]), STORE_V1, BUY)
    bare = await ask_tls(await stage.inbound(STORES[0]), STORE_V1, BUY, None)
    shut_out = await stage.make_and_see(on.undone(), THIEF, turned_away)
    outside = await stage.shop.burst(THIEF, 50)
    return Measured(
        asked="permissive mode lets the thief in, still over mutual TLS; off again, it is out",
        measured=f"in: {_times(let_in)}; plaintext {plain.status or 'refused'}; out: {_times(shut_out)}",
        passed=inside.succeeded == inside.requests
        and plain.status is None
        and bare.status is None
        and _is_out(stage, outside),
    )


ROTATIONS = 3
LEAF_LIFE_S = 4
ROTATED_WITHIN_S = 60.0
"""Leaves need 12 s for that, and a proxy's own certificate up to 20 s: it lives so long here, and may just have been
renewed. A machine with much else to do needs more."""


async def certificates_rotate_unnoticed(stage: Stage) -> Measured:
    """Leaves that live seconds, under load for several lives; proxies' own certificates for xds rotate beside them."""
    streams_before = await evidence.client_certificate(stage, BUYER)
    serials: set[str] = set()
    sent = failed = 0
    async with stage.changed(stage.workshop.leaf_lifetime(f"{LEAF_LIFE_S}s")):
        deadline = time.monotonic() + ROTATED_WITHIN_S
        streams = streams_before
        waits = stage.renews_soon
        while (len(serials) <= ROTATIONS or (waits and streams == streams_before)) and time.monotonic() < deadline:
            burst = await stage.shop.burst(BUYER, 200, concurrency=8)
            sent, failed = sent + burst.requests, failed + burst.requests - burst.succeeded
            serials |= await evidence.leaf_serials(stage, STORES[0])
            streams = await evidence.client_certificate(stage, BUYER)
    renewed = "renewed too" if streams != streams_before else "not renewed" if waits else "not due"
    return Measured(
        asked=f"leaves that live {LEAF_LIFE_S} s rotate at least {ROTATIONS} times under load, with no failed request",
        measured=f"{len(serials) - 1} rotations, {failed} of {sent} requests failed; the proxy's for xds: {renewed}",
        passed=len(serials) > ROTATIONS and failed == 0 and sent > 0 and (not waits or streams != streams_before),
    )


PROTOCOLS = ("http1", "h2c", "grpc", "websocket", "tcp")
ECHO_CLIENT, ECHO_SERVER = "echo-client-0.echo", "echo-server-0.echo"


async def protocols_pass(stage: Stage) -> Measured:
    edits = stage.workshop.add_protocols()
    for edit in edits:
        edit.apply()
    try:
        await stage.board.until(lambda: stage.board.in_service(WORKLOADS + 2), "the echo pair", PATIENCE_S)
        await _passes(stage, "tcp")
        results = {protocol: await stage.shop.probe(ECHO_CLIENT, protocol, 20) for protocol in PROTOCOLS}
    finally:
        for edit in edits:
            edit.undone().apply()
        await stage.board.until(lambda: len(stage.board.processes()) == WORKLOADS, "the echo pair's end", PATIENCE_S)
    good = [protocol for protocol, found in results.items() if found["echoed"] == found["sent"] == 20]
    bad = [f"{protocol}: {found['failures'][:1]}" for protocol, found in results.items() if protocol not in good]
    return Measured(
        asked="HTTP/1.1, HTTP/2 cleartext, gRPC, WebSocket and plain TCP each pass both sidecars",
        measured="; ".join([f"{protocol} 20 of 20" for protocol in good] + bad),
        passed=len(good) == len(PROTOCOLS),
    )


STEPS: tuple[tuple[str, Step], ...] = (
    ("the buyer buys", buyer_buys),
    ("the thief is refused", thief_is_refused),
    ("a stolen certificate is refused", stolen_certificate_is_refused),
    ("the bookstore restocks", bookstore_restocks),
    ("split 100/0", split_is_kept(100, 0)),
    ("split 50/50", split_is_kept(50, 50)),
    ("split 90/10", split_is_kept(90, 10)),
    ("a policy admits and shuts out", target_admits_and_shuts_out),
    ("strangers are refused", strangers_are_refused),
    ("permissive mode", permissive_mode_lets_all_in),
    ("certificates rotate", certificates_rotate_unnoticed),
    ("every protocol passes", protocols_pass),
)


def steps(*, isolated: bool) -> tuple[tuple[str, Step], ...]:
    """What is promised in this mode, in order."""
    return (*STEPS, *ISOLATED_STEPS) if isolated else STEPS


def _success(burst: Burst) -> str:
    share = 100 * burst.succeeded / burst.requests if burst.requests else 0.0
    failures = f", failures such as {burst.first_failures[:1]}" if burst.first_failures else ""
    return f"{share:.4g} % of {burst.requests} succeeded{failures}"


def _times(change: Change) -> str:
    first = f", first changed answer after {change.answered_ms:.0f} ms" if change.answered_ms is not None else ""
    return f"acknowledged by {change.proxies} of {change.proxies} proxies after {change.acknowledged_ms:.0f} ms{first}"


async def _passes(stage: Stage, protocol: str) -> None:
    """Wait until one probe gets through: the pair is ready a moment before its policies are."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = await stage.shop.probe(ECHO_CLIENT, protocol, 1)
        if found["echoed"] == found["sent"]:
            return
        await asyncio.sleep(0.05)


def _refusal(stage: Stage) -> str:
    return "no connection" if stage.isolated else "403"


def _is_out(stage: Stage, burst: Burst) -> bool:
    """Whether nothing of it got through. A connection that was open before its listener went is answered 503 there."""
    lingering = burst.statuses.get("503", 0) if stage.isolated else 0
    return burst.turned_away + lingering == burst.requests
