"""A configuration that Envoy truly rejects, before three real Envoys of one class."""

import os
import signal
from pathlib import Path

import pytest

from tests.envoy.canary_world import (
    DB,
    FRIEND,
    RIVAL,
    STRANGER,
    SidecarEnvoy,
    grant,
    policy,
    target,
    until,
    world,
)

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(300)]

BROKEN = "/books/("
"""A regular expression that RE2 does not compile: only Envoy finds out."""


async def test_a_rejected_change_stops_at_the_canary_and_outlives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    friend = grant("friend", FRIEND)
    async with world(tmp_path / "w", monkeypatch, friend) as mesh:
        envoys = [await mesh.envoy(number) for number in (0, 1, 2)]
        await until("all proxies are configured", lambda: not mesh.progress().rollouts and mesh.progress().proxies == 3)
        for each in envoys:
            assert await each.granted() == {"friend"}

        await mesh.set(policy(friend, grant("stranger", STRANGER, BROKEN), reaches=[DB]))
        await until("the object is told", lambda: mesh.word_on(target("stranger")) is not None)

        async def the_rest_of_the_change_is_everywhere() -> bool:
            return all([f"{DB}|80" in await each.clusters() for each in envoys])

        await until("the rest of the change goes on", the_rest_of_the_change_is_everywhere)

        def rejecting(*those: SidecarEnvoy) -> int:
            states = [status.state for each in those if (status := mesh.status(each.proxy_id))]
            return states.count("rejected")

        await until("one proxy's rejection is told", lambda: rejecting(*envoys) == 1)
        for each in envoys:
            assert await each.paths() == {"/books.*"}
        word = mesh.word_on(target("stranger"))
        assert word is not None
        assert word.problems[0].field == "spec.rules"
        assert "missing )" in word.problems[0].what
        assert mesh.word_on(target("friend")) is None, "it has no part in it"

        def is_quarantined() -> bool:
            return [(each.state, each.proxies) for each in mesh.progress().rollouts] == [("quarantined", 3)]

        await until("the change is in quarantine", lambda: is_quarantined() and len(mesh.quarantined()) == 2)

        late = await mesh.envoy(3)
        await until("a new proxy is configured", lambda: mesh.status(late.proxy_id) is not None)
        assert await late.paths() == {"/books.*"}

        await mesh.xds()
        later = await mesh.envoy(4)
        await until("all have come back", lambda: mesh.progress().proxies == 5)
        everyone = [*envoys, late, later]
        for each in everyone:
            assert await each.granted() == {"friend"}
            assert await each.paths() == {"/books.*"}
        await until("all are said to be in order, since nobody was asked again", lambda: rejecting(*everyone) == 0)
        assert len(mesh.quarantined()) == 2

        await mesh.set(policy(friend, grant("stranger", STRANGER, "/mended"), reaches=[DB]))

        async def mended() -> bool:
            return all([await each.granted() == {"friend", "stranger"} for each in everyone])

        await until("a later good version goes to all", mended)
        await until("the quarantine is lifted", lambda: mesh.quarantined() == [] and not mesh.progress().rollouts)
        await until("and its word taken back", lambda: mesh.word_on(target("stranger")) is None)


async def test_what_revokes_access_reaches_all_though_the_rest_of_the_change_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    friend, rival = grant("friend", FRIEND), grant("rival", RIVAL)
    async with world(tmp_path / "w", monkeypatch, friend, rival) as mesh:
        envoys = [await mesh.envoy(number) for number in (0, 1, 2)]
        for each in envoys:
            assert await each.granted() == {"friend", "rival"}

        await mesh.set(policy(friend, grant("stranger", STRANGER, BROKEN)))

        async def revoked() -> bool:
            return all([await each.granted() == {"friend"} for each in envoys])

        await until("the rival is shut out everywhere", revoked)
        await until("the rest is quarantined", lambda: mesh.word_on(target("stranger")) is not None)
        late = await mesh.envoy(3)
        await mesh.xds()
        later = await mesh.envoy(4)
        await until("all have come back", lambda: mesh.progress().proxies == 5)
        for each in (*envoys, late, later):
            assert await each.granted() == {"friend"}


async def test_the_only_proxy_of_a_class_keeps_what_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    friend = grant("friend", FRIEND)
    async with world(tmp_path / "w", monkeypatch, friend) as mesh:
        only = await mesh.envoy(0)
        await mesh.set(policy(friend, grant("stranger", STRANGER, BROKEN)))
        await until("the object is told", lambda: mesh.word_on(target("stranger")) is not None)
        assert await only.granted() == {"friend"}
        await mesh.set(policy(friend, grant("stranger", STRANGER)))

        async def let_in() -> bool:
            return await only.granted() == {"friend", "stranger"}

        await until("a good version comes into force", let_in)
        await until("the quarantine is lifted", lambda: mesh.quarantined() == [])


async def test_a_canary_that_is_silent_is_replaced_and_catches_up_when_it_wakes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    friend = grant("friend", FRIEND)
    async with world(tmp_path / "w", monkeypatch, friend) as mesh:
        await mesh.xds(canary_silence_s=3.0)
        canary, *others = [await mesh.envoy(number) for number in (0, 1, 2)]
        await until("all are configured", lambda: mesh.progress().proxies == 3 and not mesh.progress().rollouts)
        os.kill(canary.pid, signal.SIGSTOP)
        try:
            await mesh.set(policy(friend, grant("stranger", STRANGER)))
            await until(
                "it is asked", lambda: any(canary.proxy_id in each.canaries for each in mesh.progress().rollouts)
            )

            async def everyone_else_has_it() -> bool:
                return all([await each.granted() == {"friend", "stranger"} for each in others])

            await until("another canary has agreed", everyone_else_has_it)
        finally:
            os.kill(canary.pid, signal.SIGCONT)

        async def it_too() -> bool:
            return await canary.granted() == {"friend", "stranger"}

        await until("the silent one has caught up", it_too)
