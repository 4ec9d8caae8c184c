"""Leases on a real API server: one leader, and what becomes of it."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from osm.k8s import lease
from osm.k8s.client import connected
from osm.k8s.errors import Forbidden
from osm.k8s.lease import leading
from osm.k8s.objects import Lease
from osm.k8s.resource import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, LEASES
from osm.testing.kubernetes import STRANGER, ApiServer
from tests.kubernetes.running import until

LEADER = Path(__file__).parent / "leader.py"
ROOT = Path(__file__).parents[2]


class Candidate:
    """A process of `leader.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def says(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    async def holds(self) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        return await self.says()


@asynccontextmanager
async def candidate(api: Path, name: str, holder: str) -> AsyncIterator[Candidate]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        LEADER,
        str(api),
        name,
        holder,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    )
    try:
        found = Candidate(process)
        assert await found.says() == "waiting"
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()  # its end, and that of its pipes


async def test_one_leads_and_the_other_follows_at_once_when_it_is_given_back(
    api: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "FAREWELL_S", 60.0)  # as long as a busy server takes to hear it
    order: list[str] = []
    async with connected(str(api)) as cluster:

        async def second() -> None:
            async with leading(cluster, "default", "handed-over", "second", lease_s=600):
                order.append("second")

        async with leading(cluster, "default", "handed-over", "first", lease_s=600) as leadership:
            waiting = asyncio.create_task(second())
            await asyncio.wait([waiting], timeout=1)
            assert leadership.holds()
            assert order == []
            order.append("first")
        await waiting  # it would have to wait ten minutes if the lease had not been given back
        assert order == ["first", "second"]
        assert not leadership.holds()
        found = await cluster.get(LEASES, "handed-over", "default", as_=Lease)
        assert found.spec.lease_transitions == 2
        assert not found.spec.holder_identity


async def test_a_lease_that_was_written_without_our_knowing_is_given_back_nevertheless(
    api: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a renewal whose answer we did not wait for."""
    monkeypatch.setattr(lease, "FAREWELL_S", 60.0)
    async with connected(str(api)) as cluster:
        async with leading(cluster, "default", "overtaken", "us", lease_s=600):
            await cluster.patch(LEASES, "overtaken", {"spec": {"renewTime": "2026-01-01T00:00:00.000000Z"}}, "default")
        assert not (await cluster.get(LEASES, "overtaken", "default", as_=Lease)).spec.holder_identity


async def test_a_leader_that_is_killed_is_followed(api: Path) -> None:
    async with candidate(api, "killed", "first") as first:
        assert await first.says() == "leading"
        async with candidate(api, "killed", "second") as second:
            first.process.kill()
            assert await second.says() == "leading"


async def test_a_leader_that_was_paused_finds_itself_deposed(api: Path) -> None:
    async with candidate(api, "paused", "first") as first:
        assert await first.says() == "leading"
        assert await first.holds() == "holds True"
        async with candidate(api, "paused", "second") as second:
            first.process.send_signal(signal.SIGSTOP)
            assert await second.says() == "leading"
            first.process.send_signal(signal.SIGCONT)
            assert first.process.stdin is not None
            first.process.stdin.write(b"\n")
            said = {await first.says()}
            assert said <= {"holds False", "lost"}
            assert await second.holds() == "holds True"


async def test_a_lease_that_is_taken_away_is_lost(api: Path) -> None:
    async with (
        connected(str(api)) as cluster,
        leading(cluster, "default", "taken", "us", lease_s=1.0) as leadership,
    ):
        await cluster.patch(LEASES, "taken", {"spec": {"holderIdentity": "them"}}, "default")
        await leadership.lost.wait()
        assert not leadership.holds()


async def test_who_may_not_write_leases_is_told_so(server: ApiServer) -> None:
    rules = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "list", "watch"]}]
    binding = {
        "metadata": {"name": "look-at-leases"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "look-at-leases"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": STRANGER}],
    }
    async with connected(str(server.kubeconfig)) as admin, connected(str(server.kubeconfig_of(STRANGER))) as stranger:
        await admin.create(CLUSTER_ROLES, {"metadata": {"name": "look-at-leases"}, "rules": rules})
        await admin.create(CLUSTER_ROLE_BINDINGS, binding)
        await until(lambda: stranger.may("list", LEASES, "default"))
        with pytest.raises(Forbidden, match="create leases"):
            async with leading(stranger, "default", "forbidden", "us"):
                raise AssertionError("it may not lead")
