"""Takes from a source and writes to the bus: documents at once, verdicts and progress after them.

The same for every platform. It decides nothing but when the bucket holds our picture and nothing else.
"""

import time

from osm.bus import Bus, Writer
from osm.contracts.channels import PROGRESS
from osm.contracts.status import Progress
from osm.runtime.status_lines import courtesy
from osm.runtime.tracing import tracer
from services.endpoints.diff import Change
from services.endpoints.measures import Measures
from services.endpoints.source import Source


class Publisher:
    """One writer's work, until it is cancelled or deposed."""

    def __init__(self, bus: Bus, writer: Writer, source: Source, replica: str) -> None:
        self._status = bus.status()
        self._writer = writer
        self._source = source
        self._replica = replica
        self._spans = tracer("endpoints")
        self._measures = Measures(lambda: source.documents)
        self._revision = 0
        self._whole = False
        """Whether the bucket holds our picture and nothing left over from before."""

    async def serve(self) -> None:
        while True:
            began_s = time.perf_counter()
            step = self._source.take()
            await self._publish(step)
            self._measures.batch(step, time.perf_counter() - began_s)
            await self._report()
            await self._source.change()

    async def _publish(self, step: Change) -> None:
        if self._whole:
            if step.puts or step.deletes:
                with self._spans.start_as_current_span("endpoints publish"):
                    self._revision = await self._writer.apply(step.puts, step.deletes)
            return
        keep = self._source.unsure(self._writer.held())
        with self._spans.start_as_current_span("endpoints publish"):
            self._revision = await self._writer.publish(self._source.documents, keep=keep)
        self._whole = self._source.certain

    async def _report(self) -> None:
        """Status is a courtesy: a bus that is away must not stop endpoints."""
        lines = self._source.report(self._revision)
        self._measures.verdicts(lines)
        progress = Progress(
            service="endpoints",
            replica=self._replica,
            inputs=self._source.inputs,
            output=self._revision,
            at_s=time.time(),
        )
        for key, line in {**lines, PROGRESS.key("endpoints", self._replica): progress}.items():
            with courtesy(key):  # the others are told all the same: a source says each but once
                if line is None:
                    await self._status.delete(key)
                else:
                    await self._status.put(key, line)
