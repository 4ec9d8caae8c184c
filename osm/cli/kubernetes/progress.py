"""Says, while helm waits, what it waits for; keeps what was last seen, since a rollback takes the evidence away."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from rich.markup import escape

from osm.bus.background_tasks import background_tasks
from osm.cli.kubernetes.control_plane_state import ControlPlaneState
from osm.cli.kubernetes.pod_problems import Trouble
from osm.cli.kubernetes.survey import standing
from osm.cli.output import stderr
from osm.k8s.errors import ApiError

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

LOOK_EVERY_S = 1.0
"""A pod takes seconds to start; a person notices a delay of more than one."""

MOST_REASONS = 2
"""What fits into a line; the rest is told if it does not get better."""

REASON_CHARS = 120

LAST_WORDS_LINES = 8
"""Enough for a Python error's end with its reason."""


class Seen:
    """What was seen of a control plane: each trouble until its pod was ready, and the last words of containers.

    A pod that vanishes keeps its trouble: that is how a rollback looks.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.words: dict[str, str] = {}
        self._troubles: dict[str, Trouble] = {}
        self._said = ""

    def news(self, found: ControlPlaneState) -> str:
        """A line if something has changed since the last one, else empty."""
        for pod in found.pods:
            self._troubles.pop(f"pod {pod.metadata.name}", None)
        for trouble in found.troubles:
            if trouble.subject.startswith("pod ") or trouble.stuck:
                self._troubles[trouble.subject] = trouble
        line = summary(found)
        if line == self._said:
            return ""
        self._said = line
        return line

    @property
    def troubles(self) -> tuple[Trouble, ...]:
        """What does not mend itself, or all that there is if everything might."""
        known = tuple(trouble for _, trouble in sorted(self._troubles.items()))
        return tuple(trouble for trouble in known if trouble.stuck) or known


def summary(found: ControlPlaneState) -> str:
    """How far it is, in a line: how many are ready, which are not, and the commonest reasons."""
    if not found.workloads:
        return ""
    waiting = ", ".join(each.metadata.name for each in found.workloads if not each.ready)
    reasons = Counter(each.why for each in found.troubles if each.subject.startswith("pod ") and not each.ordinary)
    told = "; ".join(
        _short(why) for why, _ in sorted(reasons.items(), key=lambda each: (-each[1], each[0]))[:MOST_REASONS]
    )
    return "; ".join(
        part
        for part in (f"{found.ready} of {len(found.workloads)} ready", waiting and f"not yet {waiting}", told)
        if part
    )


def _short(why: str) -> str:
    return why if len(why) <= REASON_CHARS else why[: REASON_CHARS - 1] + "…"


@asynccontextmanager
async def shown(cluster: "Cluster", namespace: str) -> AsyncIterator[Seen]:
    """Look every second while the context is open: a spinner on a terminal, else a line for each change."""
    seen = Seen(namespace)
    with stderr.status("starting") as spinner:

        def tell(line: str) -> None:
            if stderr.is_terminal:
                spinner.update(escape(line))
            else:
                stderr.print(line, markup=False)

        async with background_tasks(_watch(cluster, seen, tell)):
            yield seen


async def _watch(cluster: "Cluster", seen: Seen, tell: Callable[[str], None]) -> None:
    while True:
        try:
            found = await standing(cluster, seen.namespace)
            await _hear(cluster, seen, found.troubles)
            line = seen.news(found)
        except ApiError as error:
            line = f"no answer from the cluster: {error}"
        if line:
            tell(line)
        await asyncio.sleep(LOOK_EVERY_S)


async def _hear(cluster: "Cluster", seen: Seen, found: tuple[Trouble, ...]) -> None:
    """Keep the last words of each container that ended: after a rollback nobody can ask for them."""
    for trouble in found:
        if not trouble.speaker:
            continue
        pod = trouble.subject.removeprefix("pod ")
        with suppress(ApiError):  # it may be gone already, or have said nothing
            said = await cluster.logs(seen.namespace, pod, trouble.speaker, LAST_WORDS_LINES)
            seen.words[trouble.subject] = said.strip() or seen.words.get(trouble.subject, "")


def post_mortem(seen: Seen) -> Iterator[str]:
    """What was not ready, and what it said, line by line."""
    for trouble in seen.troubles:
        yield str(trouble)
        for line in seen.words.get(trouble.subject, "").splitlines():
            yield f"    {line}"
